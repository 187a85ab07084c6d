import Link from 'next/link';

import { Accounts } from '../components/Accounts';
import { sessionList } from '../lib/sessions';

export default async function Home() {
  const list = await sessionList();
  const session = list?.sessions.find(({ session_id }) => session_id === list.active);
  if (list === null) return <h1>The service does not respond</h1>;
  if (session !== undefined) {
    return (
      <>
        <h1>Hello, {session.label}</h1>
        <p>
          <Link href="/account">Your account</Link>
        </p>
      </>
    );
  }
  if (list.sessions.length === 0) return <h1>You are signed out</h1>;
  return (
    <>
      <h1>Choose an account</h1>
      <Accounts />
    </>
  );
}
