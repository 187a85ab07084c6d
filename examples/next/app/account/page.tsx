import { redirect } from 'next/navigation';

import { AppSupport } from '../../components/AppSupport';
import { Draft } from '../../components/Draft';
import { fetchMe } from '../../lib/sessions';

export default async function Account() {
  const me = await fetchMe();
  if (me === null) redirect('/');
  return (
    // This page can be fetched later than the layout: it names its own session.
    <AppSupport renderedFor={me.session_id}>
      <h1>{me.claims.name}</h1>
      <p>Role: {me.claims.role}</p>
      <Draft />
    </AppSupport>
  );
}
