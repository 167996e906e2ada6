"""Runs programs where there is no network at all, and where every attempt to use one is noted."""

from __future__ import annotations

import shutil
import subprocess

SKIP = "neither unshare -n nor unshare -rn is allowed here"
#: Brings the loopback interface of a fresh namespace up, then becomes the program that follows.
LOOPBACK_UP = """
import fcntl, os, socket, struct, sys
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
    fcntl.ioctl(s, 0x8914, struct.pack("16sh14x", b"lo", 0x41))  # SIOCSIFFLAGS: IFF_UP | IFF_RUNNING
os.execv(sys.argv[1], sys.argv[1:])
"""
#: Notes every use of a socket but those between processes of one machine, under the command that made it.
NOTE_SOCKETS = """
import json, socket, sys
log = open(sys.argv[1], "a", buffering=1)
def note(event, arguments):
    if event == "socket.__new__" and arguments[1] != socket.AF_UNIX:
        log.write(f"{event} {socket.AddressFamily(arguments[1]).name}\\n")
    elif event == "socket.connect" and not isinstance(arguments[1], (str, bytes)):
        log.write(f"{event} {arguments[1]}\\n")
    elif event == "socket.bind" or event == "socket.sendto":
        log.write(f"{event} {arguments[1]}\\n")
    elif event in ("socket.getaddrinfo", "socket.gethostbyname", "urllib.Request"):
        log.write(f"{event} {arguments}\\n")
sys.addaudithook(note)
"""
#: Runs commands of ffpipe one after another in one process, as its entry point does.
COMMANDS = """
import ffpipe
from ffpipe.pipeline import cli, environment
environment.prepare()
for command in json.loads(sys.argv[2]):
    log.write(f"# {command[0]} {cli.run(command)}\\n")
"""


def _namespace() -> list[str]:
    program = shutil.which("unshare")
    for flags in ("-n", "-rn"):
        if program and subprocess.run([program, flags, "true"], capture_output=True).returncode == 0:
            return [program, flags]
    return []


#: The beginning of a command that has no network; empty where that is not allowed.
NAMESPACE = _namespace()
