// Whose page a link leads to can be seen before it is opened.

import { QueryClientProvider } from "@tanstack/react-query";
import { render, screen, within } from "@testing-library/react";
import { expect, it } from "vitest";
import { newClient } from "../../data/queries";
import { LinkDialog } from "./link-dialog";

it.each([
  ["https://example.org", "https://", "example.org", "/"],
  ["http://example.org:8080/a?b=//c#d", "http://", "example.org:8080", "/a?b=//c#d"],
  ["https://example.org@example.net/a@b", "https://example.org@", "example.net", "/a@b"],
  ["https://example.org:443%40x@example.net/?", "https://example.org:443%40x@", "example.net", "/?"],
  ["https://пример.example/", "https://", "xn--e1afmkfd.example", "/"],
])("shows %s whole, with its host standing out", async (href, before, host, after) => {
  const link = { document: "1", href, address: new URL(href) };
  render(
    <QueryClientProvider client={newClient()}>
      <LinkDialog link={link} onClose={() => {}} />
    </QueryClientProvider>,
  );
  const address = await screen.findByTestId("link-address");
  expect(address.textContent).toBe(before + host + after);
  expect(within(address).getByText(host, { selector: "b" })).toBeVisible();
});
