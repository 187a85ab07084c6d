import {
  type FocusEvent,
  type KeyboardEvent,
  type MouseEvent,
  type RefObject,
  useCallback,
  useEffect,
  useId,
  useRef,
  useState,
} from 'react';

/** The item that gets the focus when the menu opens. */
type End = 'first' | 'last';

export interface Menu {
  readonly isOpen: boolean;
  readonly close: () => void;
  readonly rootRef: RefObject<HTMLDivElement | null>;
  readonly buttonRef: RefObject<HTMLButtonElement | null>;
  readonly rootProps: { readonly onBlur: (event: FocusEvent) => void };
  readonly buttonProps: {
    readonly 'aria-haspopup': 'menu';
    readonly 'aria-expanded': boolean;
    readonly 'aria-controls': string | undefined;
    readonly onClick: (event: MouseEvent) => void;
    readonly onKeyDown: (event: KeyboardEvent) => void;
  };
  readonly menuProps: {
    readonly role: 'menu';
    readonly id: string;
    readonly onKeyDown: (event: KeyboardEvent) => void;
  };
}

/**
 * A menu button of the WAI-ARIA Authoring Practices. The items have a role that begins with `menuitem`
 * and `tabIndex={-1}`.
 */
export function useMenu(): Menu {
  const id = useId();
  const rootRef = useRef<HTMLDivElement>(null);
  const buttonRef = useRef<HTMLButtonElement>(null);
  const [opened, setOpened] = useState<End | null>(null);
  const isOpen = opened !== null;
  const close = useCallback(() => setOpened(null), []);

  useEffect(() => {
    if (opened === null) return;
    const items = itemsOf(rootRef.current);
    items[opened === 'first' ? 0 : items.length - 1]?.focus();
    const pressed = ({ target }: PointerEvent) => {
      if (target instanceof Node && !rootRef.current?.contains(target)) close();
    };
    document.addEventListener('pointerdown', pressed);
    return () => document.removeEventListener('pointerdown', pressed);
  }, [opened, close]);

  const onButtonKeyDown = (event: KeyboardEvent) => {
    const end = { ArrowDown: 'first', ArrowUp: 'last' }[event.key] as End | undefined;
    if (end === undefined) return;
    event.preventDefault();
    setOpened(end);
  };

  const onMenuKeyDown = (event: KeyboardEvent) => {
    const items = itemsOf(rootRef.current);
    const at = items.indexOf(document.activeElement as HTMLElement);
    const to = target(event, items, at);
    if (to !== undefined) {
      event.preventDefault();
      items[to]?.focus();
    } else if (event.key === 'Escape') {
      event.preventDefault();
      event.stopPropagation();
      close();
      buttonRef.current?.focus();
    } else if (event.key === 'Tab') {
      // The browser goes on from the button.
      buttonRef.current?.focus();
      close();
    } else if (event.key === ' ' && event.target instanceof HTMLAnchorElement) {
      event.preventDefault();
      event.target.click();
    }
  };

  return {
    isOpen,
    close,
    rootRef,
    buttonRef,
    rootProps: {
      onBlur: ({ currentTarget, relatedTarget }) => {
        if (relatedTarget !== null && !currentTarget.contains(relatedTarget)) close();
      },
    },
    buttonProps: {
      'aria-haspopup': 'menu',
      'aria-expanded': isOpen,
      'aria-controls': isOpen ? id : undefined,
      onClick: () => (isOpen ? close() : setOpened('first')),
      onKeyDown: onButtonKeyDown,
    },
    menuProps: { role: 'menu', id, onKeyDown: onMenuKeyDown },
  };
}

function itemsOf(root: HTMLElement | null): HTMLElement[] {
  return Array.from(root?.querySelectorAll<HTMLElement>('[role^="menuitem"]') ?? []);
}

/** The index of the item that a key leads to. */
function target(
  { key, ctrlKey, altKey, metaKey }: KeyboardEvent,
  items: readonly HTMLElement[],
  at: number,
): number | undefined {
  switch (key) {
    case 'ArrowDown':
      return (at + 1) % items.length;
    case 'ArrowUp':
      return (at + items.length - 1) % items.length;
    case 'Home':
      return 0;
    case 'End':
      return items.length - 1;
  }
  // The next item that begins with a letter.
  if (key.length !== 1 || key === ' ' || ctrlKey || altKey || metaKey) return undefined;
  const letter = key.toLocaleLowerCase();
  const found = items.findIndex((_, step) => {
    const { textContent } = items[(at + 1 + step) % items.length] as HTMLElement;
    return textContent?.trim().toLocaleLowerCase().startsWith(letter);
  });
  return found < 0 ? undefined : (at + 1 + found) % items.length;
}
