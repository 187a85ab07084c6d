'use client';

import { useState } from 'react';

/** State of one account, in the memory of the page. */
export function Draft() {
  const [text, setText] = useState('');
  return (
    <label>
      A note, kept while this account is shown
      <textarea rows={3} value={text} onChange={({ target }) => setText(target.value)} />
    </label>
  );
}
