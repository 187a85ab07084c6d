/** A circle with the initials of `name`. */
export function Avatar({ name }: { readonly name: string }) {
  const initials = name.split(' ').map((word) => Array.from(word)[0]);
  return (
    <span className="avatar" aria-hidden="true">
      {initials}
    </span>
  );
}
