// The screen for an address that belongs to no place.

import { LinkButton } from "../parts/button";
import { Page } from "../parts/page";
import { Empty } from "../parts/states";
import { text } from "../text";

export function NotFound() {
  return (
    <Page title={text.notFound.title}>
      <Empty icon="search" title={text.notFound.title} about={text.notFound.about}>
        <LinkButton to="/" look="primary">
          {text.notFound.home}
        </LinkButton>
      </Empty>
    </Page>
  );
}
