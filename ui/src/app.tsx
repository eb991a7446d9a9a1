// The whole window: its data, its router, and the content policy that its parts keep.

import { CSPProvider } from "@base-ui/react/csp-provider";
import { type QueryClient, QueryClientProvider } from "@tanstack/react-query";
import { RouterProvider } from "@tanstack/react-router";
import { StrictMode } from "react";
import type { AppRouter } from "./router";

export function App({ client, router }: { client: QueryClient; router: AppRouter }) {
  return (
    <StrictMode>
      {/* The content policy allows no style elements made at run time. */}
      <CSPProvider disableStyleElements>
        <QueryClientProvider client={client}>
          <RouterProvider router={router} />
        </QueryClientProvider>
      </CSPProvider>
    </StrictMode>
  );
}
