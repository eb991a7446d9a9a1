"""wget -r, which only fetches and writes: what a crawl costs at least.

main.py crawl dir=... url=...
"""

import json
import resource
import subprocess
import sys
import time

given = dict(word.split("=", 1) for word in sys.argv[2:])
print(json.dumps({"ready": {"peer": "wget"}}), flush=True)
start = time.monotonic()
subprocess.run(
    ["wget", "--quiet", "--recursive", "--level=100", "--no-parent", "--reject", "js,css,png,gif,svg,jpg",
     "--directory-prefix", given["dir"], given["url"]],
    check=False,
)
seconds = time.monotonic() - start
used = resource.getrusage(resource.RUSAGE_CHILDREN)
result = {"seconds": seconds, "cpu_s": used.ru_utime + used.ru_stime, "memory_mib": used.ru_maxrss / 1024}
print(json.dumps({"result": result}), flush=True)
sys.stdin.read()
