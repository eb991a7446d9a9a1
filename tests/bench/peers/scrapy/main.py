"""The crawler scrapy with trafilatura: a Markdown file for each page.

main.py crawl dir=... url=... concurrency=...
"""

import json
import pathlib
import sys
import time
from urllib.parse import urlparse

import scrapy
import trafilatura
from scrapy.crawler import CrawlerProcess
from scrapy.linkextractors import LinkExtractor

given = dict(word.split("=", 1) for word in sys.argv[2:])
folder = pathlib.Path(given["dir"])
counts = {"pages": 0, "failed": 0}


class Spider(scrapy.Spider):
    name = "bench"
    start_urls = [given["url"]]
    allowed_domains = [urlparse(given["url"]).hostname]
    links = LinkExtractor()  # other hosts are left out by `allowed_domains`

    def parse(self, response):
        if not isinstance(response, scrapy.http.HtmlResponse):
            return
        text = trafilatura.extract(
            response.body, url=response.url, output_format="markdown", include_links=True, include_tables=True
        )
        if text is None:
            counts["failed"] += 1
        else:
            (folder / f"{counts['pages']}.md").write_text(text)
            counts["pages"] += 1
        for link in self.links.extract_links(response):
            yield scrapy.Request(link.url, callback=self.parse)


print(json.dumps({"ready": {"peer": "scrapy"}}), flush=True)
start = time.monotonic()
process = CrawlerProcess(
    {
        "CONCURRENT_REQUESTS": int(given["concurrency"]),
        "CONCURRENT_REQUESTS_PER_DOMAIN": int(given["concurrency"]),
        "DOWNLOAD_DELAY": 0,
        "ROBOTSTXT_OBEY": True,
        "LOG_LEVEL": "ERROR",
        "TELNETCONSOLE_ENABLED": False,
    }
)
process.crawl(Spider)
process.start()
print(json.dumps({"result": {"seconds": time.monotonic() - start, **counts}}), flush=True)
sys.stdin.read()
