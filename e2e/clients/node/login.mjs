// Logs in as libraries do it, once for each argument HOW=ISSUER. What went wrong ends with a form feed.
import { createPublicKey, webcrypto } from "node:crypto";
import { createServer } from "node:http";
import { createRequire } from "node:module";
import jsonwebtoken from "jsonwebtoken";
import Provider from "oidc-provider";
import OAuth2Strategy from "passport-oauth2";

globalThis.crypto ??= webcrypto; // Node.js 18
const { createRemoteJWKSet, jwtVerify } = await import("jose");
const { OidcClient, InMemoryWebStorage, Log, UserManager, WebStorageStateStore } = await import("oidc-client-ts");
const { betterAuth } = await import("better-auth");
const { genericOAuth } = await import("better-auth/plugins");
const { memoryAdapter } = await import("better-auth/adapters/memory");
const require = createRequire(import.meta.url);
const GrantManager = require("keycloak-connect/middleware/auth-utils/grant-manager");
const postAuth = require("keycloak-connect/middleware/post-auth");
const Token = require("keycloak-connect/middleware/auth-utils/token");

const site = "http://acme.localhost:3000";
const client = { client_id: "atlas-web", client_secret: "secret" };
const document = async (issuer) => (await fetch(`${issuer}/.well-known/openid-configuration`)).json();
const browse = async (at) => new URL((await fetch(at, { redirect: "manual" })).headers.get("location"));

// The ID token of a login without a library.
async function idToken(d) {
  const code = (await browse(`${d.authorization_endpoint}?redirect_uri=${site}/cb`)).searchParams.get("code");
  const answer = await fetch(d.token_endpoint, { method: "POST", body: new URLSearchParams({ client_id: "atlas-web", code }) });
  return (await answer.json()).id_token;
}

const ways = {
  // APIs that get the provider's token.
  async jsonwebtoken(issuer) {
    const d = await document(issuer);
    const { keys } = await (await fetch(d.jwks_uri)).json();
    const key = createPublicKey({ key: keys[0], format: "jwk" });
    jsonwebtoken.verify(await idToken(d), key, { issuer: d.issuer, audience: "atlas-web", algorithms: ["RS256"] });
  },
  async jose(issuer) {
    const d = await document(issuer);
    await jwtVerify(await idToken(d), createRemoteJWKSet(new URL(d.jwks_uri)), { issuer: d.issuer, audience: "atlas-web" });
  },
  async "keycloak-connect"(issuer) {
    const manager = new GrantManager({ realmUrl: issuer, clientId: "atlas-web", secret: "secret", minTimeBetweenJwksRequests: 0 });
    await manager.validateToken(new Token(await idToken(await document(issuer)), "atlas-web"), "ID");
  },
  async "keycloak-connect-code"(issuer) {
    const manager = new GrantManager({ realmUrl: issuer, clientId: "atlas-web", secret: "secret" });
    const getGrantFromCode = (code, request) => manager.obtainFromCode(request, code, "session", "host");
    await new Promise((accessDenied) => {
      postAuth({ getGrantFromCode, accessDenied: () => accessDenied() })({ url: "/?auth_callback=1", query: { auth_callback: "1", code: "code" }, session: {} }, {}, accessDenied);
    });
  },

  async "oidc-client-ts"(issuer, remembers = true) {
    Log.setLogger(console);
    Log.setLevel(Log.ERROR);
    const store = () => new WebStorageStateStore({ store: new InMemoryWebStorage() });
    const settings = { authority: issuer, redirect_uri: `${site}/cb`, ...client, stateStore: store() };
    const { url } = await new OidcClient(settings).createSigninRequest({ state: {}, nonce: "n" });
    if (!remembers) settings.stateStore = store();
    await new OidcClient(settings).processSigninResponse((await browse(url)).href);
  },
  "forgetful-oidc-client-ts": (issuer) => ways["oidc-client-ts"](issuer, false),

  // Passport, whose session is lost between the two requests.
  async "forgetful-passport"(issuer) {
    const d = await document(issuer);
    const strategy = new OAuth2Strategy(
      { authorizationURL: d.authorization_endpoint, tokenURL: d.token_endpoint, clientID: "atlas-web", clientSecret: "secret", callbackURL: `${site}/cb`, state: true }, () => {});
    const came = await browse(await new Promise((redirect) => Object.assign(Object.create(strategy), { redirect }).authenticate({ session: {}, query: {} })));
    const query = Object.fromEntries(came.searchParams);
    console.log(await new Promise((fail, error) => Object.assign(Object.create(strategy), { fail, error }).authenticate({ session: {}, query })));
  },

  async "better-auth"(issuer, remembers = true) {
    const auth = betterAuth({
      baseURL: site, secret: "a site's own secret of 32 octets", database: memoryAdapter({ user: [], session: [], account: [], verification: [] }),
      plugins: [genericOAuth({ config: [{ providerId: "provider", discoveryUrl: `${issuer}/.well-known/openid-configuration`, clientId: "atlas-web", clientSecret: "secret" }] })],
    });
    const began = await auth.handler(new Request(`${site}/api/auth/sign-in/social`, {
      method: "POST", headers: { "Content-Type": "application/json", Origin: site }, body: JSON.stringify({ provider: "provider", callbackURL: "/" }),
    }));
    const said = await began.text();
    console.log(began.status);
    const page = JSON.parse(said);
    if (!page.url) return console.log(said);
    const cookie = remembers ? began.headers.getSetCookie().map((c) => c.split(";")[0]).join("; ") : "";
    const ended = await auth.handler(new Request((await browse(page.url)).href, { headers: { cookie } }));
    console.log(ended.status, ended.headers.get("location") ?? (await ended.text()));
  },
  "forgetful-better-auth": (issuer) => ways["better-auth"](issuer, false),

  // oidc-provider, which Logto is built on, asked for what it refuses.
  async provider() {
    const provider = new Provider("http://127.0.0.1:3999", { clients: [{ ...client, redirect_uris: [`${site}/cb`] }] });
    const server = createServer(provider.callback()).listen(3999, "127.0.0.1");
    const show = async (answer) => console.log(await (await answer).text());
    await show(fetch(`http://127.0.0.1:3999/auth?client_id=atlas-web&response_type=code&scope=openid&redirect_uri=${site}/other`, { headers: { accept: "application/json" } }));
    await show(fetch("http://127.0.0.1:3999/auth?client_id=another-app&response_type=code&scope=openid", { headers: { accept: "application/json" } }));
    await show(fetch(`http://127.0.0.1:3999/session/end?client_id=atlas-web&post_logout_redirect_uri=${site}/bye`, { headers: { accept: "application/json" } }));
    server.close();
  },
  async "provider-token"(what) {
    what = what.replace("://", "");
    const provider = new Provider("http://127.0.0.1:3998", { clients: [{ ...client, redirect_uris: [`${site}/cb`] }] });
    provider.on("grant.error", (_, error) => console.log(String(error), error.error_detail));
    const server = createServer(provider.callback()).listen(3998, "127.0.0.1");
    const found = await provider.Client.find("atlas-web");
    const grant = new provider.Grant({ accountId: "ada", clientId: "atlas-web" });
    const code = await new provider.AuthorizationCode({ accountId: "ada", client: found, grantId: await grant.save(), redirectUri: `${site}/cb`, scope: "openid" }).save();
    const form = { ...client, grant_type: "authorization_code", code, redirect_uri: `${site}/cb` };
    if (what === "secret") form.client_secret = "another";
    if (what === "code") form.code = "none";
    if (what === "redirect") form.redirect_uri = `${site}/other`;
    const answer = await fetch("http://127.0.0.1:3998/token", { method: "POST", body: new URLSearchParams(form) });
    console.log(await answer.text());
    server.close();
  },
};

for (const arg of process.argv.slice(2)) {
  const [how, issuer] = arg.split(/=(.*)/s);
  try {
    await ways[how](issuer);
  } catch (e) {
    console.log(e);
  }
  console.log("\f");
}
process.exit();
