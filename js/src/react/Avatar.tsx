/** A circle with the initials of an account. They are drawn by the stylesheet: no text of the page. */
export function Avatar({ label }: { readonly label: string }) {
  const words = label.split(/\s+/).filter((word) => word !== '');
  const ends = words.length > 1 ? [words[0], words.at(-1)] : words;
  const initials = ends.map((word) => Array.from(word ?? '')[0]).join('');
  return <span className="tas-avatar" data-initials={initials.toLocaleUpperCase()} aria-hidden="true" />;
}
