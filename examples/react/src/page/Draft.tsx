import { useState } from 'react';

/** State that belongs to one account: whoever is shown next must not see it. */
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
        It is in the memory of this page only. With another account it is gone, whoever switched and
        wherever; a renewed session keeps it.
      </p>
    </section>
  );
}
