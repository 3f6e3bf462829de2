import NextAuth from "next-auth";

// The only thing that this application knows of its provider is where to read
// the discovery document. No endpoint is typed by hand.
export const authOptions = {
  providers: [
    {
      id: "provider",
      name: "the provider",
      type: "oauth",
      wellKnown: process.env.OIDC_WELL_KNOWN,
      clientId: process.env.OIDC_CLIENT_ID,
      clientSecret: process.env.OIDC_CLIENT_SECRET,
      authorization: { params: { scope: "openid profile email" } },
      idToken: true,
      checks: ["pkce", "state", "nonce"],
      profile: (claims) => ({ id: claims.sub, name: claims.name ?? claims.preferred_username, email: claims.email }),
    },
  ],
  session: { strategy: "jwt" },
};

export default NextAuth(authOptions);
