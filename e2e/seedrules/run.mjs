// Runs the two functions over requests as the edge would: standard input is a
// JSON array of {method, uri, query, host, headers}, standard output the answers
// in the same order. The event has the structure that CloudFront documents:
// names and values as they came, a repeated name's first value in "value".
import { readFileSync } from "node:fs";

const load = (name) => new Function(`${readFileSync(new URL(name, import.meta.url), "utf8")}; return handler;`)();
const functions = { callback: load("callback.js"), returnto: load("returnto.js") };

// The edge's own doing: its alternate names, the methods that it lets through,
// and which function is tied to which path.
const names = ["auth.example.com", "d111111abcdef8.cloudfront.net"];
const behaviours = [[/^\/tenants\/.*\/callback/, "callback"], [/^\/tenants\/.*\/returnto/, "returnto"]];

const querystring = (query) => {
  const parsed = {};
  for (const pair of query === "" ? [] : query.split("&")) {
    const at = pair.indexOf("=");
    const [name, value] = at < 0 ? [pair, ""] : [pair.slice(0, at), pair.slice(at + 1)];
    if (Object.hasOwn(parsed, name)) {
      (parsed[name].multiValue ??= [{ value: parsed[name].value }]).push({ value });
    } else {
      parsed[name] = { value };
    }
  }
  return parsed;
};

const answer = ({ method, uri, query, host, headers }) => {
  if (!names.includes(host.toLowerCase().replace(/:443$/, ""))) return { status: 403, edge: true };
  if (method !== "GET" && method !== "HEAD") return { status: 403, edge: true };
  const behaviour = behaviours.find(([path]) => path.test(uri));
  if (!behaviour) return { status: 404 };
  try {
    const request = {
      method, uri, querystring: querystring(query), cookies: {},
      headers: { ...Object.fromEntries(headers.map(([name, value]) => [name.toLowerCase(), { value }])), host: { value: host } },
    };
    const response = functions[behaviour[1]]({ version: "1.0", context: { eventType: "viewer-request" }, viewer: { ip: "192.0.2.2" }, request });
    return { status: response.statusCode, location: response.headers.location.value };
  } catch (error) {
    return { status: 503, error: String(error) }; // what viewers get for a function that throws
  }
};

const requests = JSON.parse(readFileSync(0, "utf8"));
process.stdout.write(JSON.stringify(requests.map(answer)));
