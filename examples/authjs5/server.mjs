// A site for all tenants on Auth.js 5. The library makes the redirect URI from
// the Host (trustHost); it is told the issuer, and nothing of tenants or the door.
import { webcrypto } from "node:crypto";
import express from "express";

globalThis.crypto ??= webcrypto; // Debian 12's Node 18 keeps it to itself
const { ExpressAuth, getSession } = await import("@auth/express");

const { OIDC_ISSUER, OIDC_CLIENT_ID, OIDC_CLIENT_SECRET, AUTH_SECRET, HOST = "127.0.0.1", PORT = "3000" } = process.env;

const auth = {
  providers: [
    {
      id: "provider",
      name: "the provider",
      style: { logo: "" }, // by default a picture from authjs.dev
      type: "oidc",
      issuer: OIDC_ISSUER,
      clientId: OIDC_CLIENT_ID,
      clientSecret: OIDC_CLIENT_SECRET,
      checks: ["pkce", "state", "nonce"],
    },
  ],
  secret: AUTH_SECRET,
  trustHost: true,
};

const escape = (text) => text.replace(/[&<>"]/g, (c) => `&#${c.charCodeAt(0)};`);

const app = express();
app.use("/auth/*", ExpressAuth(auth));
app.get("/", async (request, response) => {
  const session = await getSession(request, auth);
  response.send(`<!doctype html>
<h1 id="host">${escape(request.headers.host)}</h1>
${session ? `<p id="person">${escape(session.user.name)}</p>` : `<a href="/auth/signin">Sign in</a>`}`);
});
app.listen(Number(PORT), HOST);
