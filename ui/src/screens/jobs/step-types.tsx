/** The types of a definition's steps, in order. */
export function Types({ types }: { types: string[] }) {
  return (
    <span className="flex flex-wrap items-center gap-1">
      {types.map((type, at) => (
        <span key={at} className="flex items-center gap-1">
          {at > 0 && <span className="text-faint">·</span>}
          <span className="font-mono text-label text-muted">{type}</span>
        </span>
      ))}
    </span>
  );
}
