// A site for all tenants on @auth0/nextjs-auth0 4. The client is a Next.js
// application's own lib/auth0.js, and takes the tenant from the Host: it is
// told no appBaseUrl, and nothing of the door. What Next.js does around it, to
// call the middleware for each request, is done here in a few lines, so that
// nothing has to be built.
import { createServer } from "node:http";
import { Readable } from "node:stream";
import { webcrypto } from "node:crypto";
import { NextRequest } from "next/server.js";

globalThis.crypto ??= webcrypto; // Debian 12's Node 18 keeps it to itself
const { Auth0Client } = await import("@auth0/nextjs-auth0/server");

const { OIDC_ISSUER, OIDC_CLIENT_ID, OIDC_CLIENT_SECRET, AUTH0_SECRET, HOST = "127.0.0.1", PORT = "3000" } = process.env;

const auth0 = new Auth0Client({
  domain: OIDC_ISSUER,
  clientId: OIDC_CLIENT_ID,
  clientSecret: OIDC_CLIENT_SECRET,
  secret: AUTH0_SECRET,
  // The library's default asks for offline_access too.
  authorizationParameters: { scope: "openid profile email" },
  allowInsecureRequests: OIDC_ISSUER.startsWith("http:"), // for development
});

const escape = (text) => text.replace(/[&<>"]/g, (c) => `&#${c.charCodeAt(0)};`);

const page = (request, session) => `<!doctype html>
<h1 id="host">${escape(request.headers.get("host"))}</h1>
<p id="path">${escape(request.nextUrl.pathname)}</p>
${session ? `<p id="person">${escape(session.user.name)}</p>` : `<a href="/auth/login?returnTo=/dashboard">Sign in</a>`}`;

async function answer(request) {
  const response = await auth0.middleware(request);
  if (request.nextUrl.pathname.startsWith("/auth/")) return response;
  response.headers.delete("x-middleware-next"); // "go on to the page", which is this one
  response.headers.set("Content-Type", "text/html; charset=utf-8");
  return new Response(page(request, await auth0.getSession(request)), { headers: response.headers });
}

createServer(async (incoming, outgoing) => {
  try {
    const body = ["GET", "HEAD"].includes(incoming.method) ? undefined : Readable.toWeb(incoming);
    const request = new NextRequest(`http://${incoming.headers.host}${incoming.url}`, {
      method: incoming.method, headers: incoming.headers, body, duplex: "half",
    });
    const response = await answer(request);
    outgoing.writeHead(response.status, [...response.headers].flat());
    outgoing.end(Buffer.from(await response.arrayBuffer()));
  } catch (error) {
    console.error(error);
    outgoing.writeHead(500).end();
  }
}).listen(Number(PORT), HOST);
