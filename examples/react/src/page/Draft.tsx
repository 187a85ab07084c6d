import { useState } from 'react';

/** State that belongs to one account: no other account may show it. */
export function Draft({ name }: { readonly name: string }) {
  const [text, write] = useState('');
  return (
    <section className="card">
      <h2>
        <label htmlFor="draft">A note of {name}</label>
      </h2>
      <textarea
        id="draft"
        rows={4}
        value={text}
        aria-describedby="draft-note"
        placeholder="Write something, then switch accounts."
        onChange={({ target }) => write(target.value)}
      />
      <p className="note" id="draft-note">
        The note is kept in the memory of this page only. A switch to another account, in any tab,
        discards it; a renewed session keeps it.
      </p>
    </section>
  );
}
