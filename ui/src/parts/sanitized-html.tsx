// The one place where HTML from the program goes into the page. The engine has sanitised it (only its
// own allow-list of elements, no scripts, no styles, no remote images); the content policy forbids the
// rest. Links never navigate.

import { type MouseEvent, memo, type Ref } from "react";

type Props = { html: string; onLink: (href: string) => void; className?: string; ref?: Ref<HTMLDivElement> };

export const SanitizedHtml = memo(function SanitizedHtml({ html, onLink, className, ref }: Props) {
  const onClick = (event: MouseEvent) => {
    const link = (event.target as Element).closest("a");
    if (!link) return;
    event.preventDefault();
    onLink(link.getAttribute("href") ?? "");
  };
  return (
    // biome-ignore lint/a11y/useKeyWithClickEvents: Enter on a link arrives here as a click
    // biome-ignore lint/a11y/noStaticElementInteractions: it only listens for its links
    <div
      ref={ref}
      className={className}
      onClick={onClick}
      onAuxClick={onClick}
      // biome-ignore lint/security/noDangerouslySetInnerHtml: see the top of this file
      dangerouslySetInnerHTML={{ __html: html }}
    />
  );
});
