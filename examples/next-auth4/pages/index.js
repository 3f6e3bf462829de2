import { getServerSession } from "next-auth/next";
import { authOptions } from "./api/auth/[...nextauth]";

export default function Home({ host, name }) {
  return (
    <main>
      <h1 id="host">{host}</h1>
      {name ? <p id="person">Signed in as {name}</p> : <a href="/api/auth/signin">Sign in</a>}
    </main>
  );
}

export async function getServerSideProps({ req, res }) {
  const session = await getServerSession(req, res, authOptions);
  return { props: { host: req.headers.host, name: session?.user?.name ?? null } };
}
