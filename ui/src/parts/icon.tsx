// The icons of the window, all drawn alike. Decoration: what they mean is always said in words too.

import {
  ArrowDown,
  ArrowUpRight,
  BookOpen,
  Check,
  ChevronDown,
  ChevronRight,
  CircleHelp,
  Command,
  Copy,
  FileText,
  Folder,
  FolderOpen,
  Globe,
  House,
  ListFilter,
  ListTree,
  type LucideIcon,
  Minus,
  Play,
  Plus,
  RotateCcw,
  Search,
  Settings,
  Square,
  TriangleAlert,
  Workflow,
  X,
} from "lucide-react";

const icons = {
  home: House,
  jobs: Workflow,
  runs: Play,
  documents: FileText,
  settings: Settings,
  search: Search,
  folder: Folder,
  openFolder: FolderOpen,
  site: Globe,
  out: ArrowUpRight,
  check: Check,
  down: ChevronDown,
  right: ChevronRight,
  help: CircleHelp,
  command: Command,
  copy: Copy,
  filter: ListFilter,
  plus: Plus,
  minus: Minus,
  again: RotateCcw,
  stop: Square,
  warn: TriangleAlert,
  close: X,
  toEnd: ArrowDown,
  read: BookOpen,
  outline: ListTree,
} satisfies Record<string, LucideIcon>;

export type IconName = keyof typeof icons;

export function Icon({ name, className = "size-4" }: { name: IconName; className?: string }) {
  const Drawn = icons[name];
  return <Drawn aria-hidden className={`shrink-0 ${className}`} strokeWidth={2} />;
}
