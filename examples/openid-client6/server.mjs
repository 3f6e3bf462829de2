// A site for all tenants on openid-client 6. It is told the issuer alone; the
// library demands that the discovery document names the very URL it was read from.
import { createServer } from "node:http";
import { webcrypto } from "node:crypto";

globalThis.crypto ??= webcrypto; // Debian 12's Node 18 keeps it to itself
const oidc = await import("openid-client");

const { OIDC_ISSUER, OIDC_CLIENT_ID, OIDC_CLIENT_SECRET, HOST = "127.0.0.1", PORT = "3000" } = process.env;

// Plain http is for development: the issuer decides.
const insecure = OIDC_ISSUER.startsWith("http:") ? { execute: [oidc.allowInsecureRequests] } : {};
let configuration;
const provider = async () =>
  (configuration ??= await oidc.discovery(new URL(OIDC_ISSUER), OIDC_CLIENT_ID, OIDC_CLIENT_SECRET, undefined, insecure));

const cookies = (request) => Object.fromEntries((request.headers.cookie ?? "").split("; ").map((pair) => pair.split("=")));
const redirectURI = (request) => `http://${request.headers.host}/api/auth/callback`;
const escape = (text) => text.replace(/[&<>"]/g, (c) => `&#${c.charCodeAt(0)};`);

const routes = {
  "/": (request, response) => response.end(`<!doctype html><a href="/login">Sign in</a>`),

  "/login": async (request, response) => {
    const verifier = oidc.randomPKCECodeVerifier();
    const state = oidc.randomState();
    const to = oidc.buildAuthorizationUrl(await provider(), {
      redirect_uri: redirectURI(request),
      scope: "openid profile",
      code_challenge: await oidc.calculatePKCECodeChallenge(verifier),
      code_challenge_method: "S256",
      state,
    });
    response.writeHead(302, { Location: to.href, "Set-Cookie": `login=${state}.${verifier}; HttpOnly; SameSite=Lax; Path=/` }).end();
  },

  "/api/auth/callback": async (request, response) => {
    const [expectedState, pkceCodeVerifier] = cookies(request).login.split(".");
    const here = new URL(request.url, `http://${request.headers.host}`);
    const tokens = await oidc.authorizationCodeGrant(await provider(), here, { expectedState, pkceCodeVerifier });
    const person = await oidc.fetchUserInfo(await provider(), tokens.access_token, tokens.claims().sub);
    response.end(`<!doctype html><p id="person">${escape(person.name)}</p>`);
  },
};

createServer(async (request, response) => {
  response.setHeader("Content-Type", "text/html; charset=utf-8");
  try {
    const route = routes[request.url.split("?")[0]];
    if (!route) return response.writeHead(404).end();
    await route(request, response);
  } catch (error) {
    console.error(error);
    response.writeHead(502).end(`<!doctype html><p id="error">${escape(`${error.message}: ${error.cause?.message ?? error.code ?? ""}`)}</p>`);
  }
}).listen(Number(PORT), HOST);
