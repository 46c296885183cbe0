"""What handlers may not do under the strict unit, and may under its drop-ins."""
import pytest
from box import wait_until

# What is tried, and what must come of it: its exit code is 0 if the confinement holds.
HELD = {
    "writes /etc": "! touch /etc/stint/x && ! touch /etc/x",
    "writes /usr": "! touch /usr/x",
    "writes /var": "! touch /var/lib/x && ! touch /var/tmp/../x",
    "has a /tmp of its own": "touch /tmp/mine && [ $(ls /tmp | wc -l) = 1 ]",
    "sees homes": "[ -z \"$(ls /home)\" ] && ! ls /root",
    "sees processes of others": "! [ -e /proc/1 ]",
    "has devices": "! [ -e /dev/kmsg ] && ! mknod /tmp/null c 1 3",
    "tunes the kernel": "! echo 1 > /proc/sys/vm/drop_caches",
    "sets the name of the host": "! hostname other 2>/dev/null; [ \"$(hostname)\" != other ]",
    "gets rights by a set-uid file": "! sudo -n true",
    "changes its user": "! setpriv --reuid=0 true",
    "makes a namespace": "! unshare --user true",
    "changes owners": "touch /tmp/a && ! chown 0 /tmp/a",
    "runs memory that it writes": "! python3 -c 'import mmap; mmap.mmap(-1, 4096, prot=7)'",
    "opens other kinds of sockets":
        "! python3 -c 'import socket; socket.socket(socket.AF_NETLINK, socket.SOCK_RAW)'",
    "has a real-time priority": "! chrt -f 1 true",
    "has capabilities": "grep -q '^CapEff:[[:space:]]*0*$' /proc/self/status",
    "keeps new rights out": "grep -q '^NoNewPrivs:[[:space:]]*1$' /proc/self/status",
    "writes core files": "[ $(ulimit -c) = 0 ]",
}


def shell(script, **more):
    return {"command": ["/bin/sh", "-c", script], **more}


def relax(box, *names):
    for name in names:
        box("install", "-D", f"/usr/share/stint/systemd/{name}.conf",
            f"/etc/systemd/system/stintd.service.d/{name}.conf")
    box("systemctl", "daemon-reload")


def tell(box, job):
    """The job's output, or all that is known of it when it failed."""
    result = box.result(job)
    return result["output"].strip() if result["status"] == "ok" else result


def test_a_handler_is_held(box):
    names = [f"probe{n}" for n in range(len(HELD))]
    box.configure({"handlers": dict(zip(names, map(shell, HELD.values())))})
    jobs = [box.submit(name) for name in names]
    loose = {what: told for what, job in zip(HELD, jobs)
             if (told := box.result(job))["status"] != "ok"}
    assert not loose


@pytest.mark.parametrize("drop_ins", [(), ("jit",), ("files",), ("network",)])
def test_the_exposure_is_low(box, drop_ins):
    relax(box, *drop_ins)
    limit = 13 if not drop_ins else 15
    done = box.run("systemd-analyze", "security", f"--threshold={limit}", "stintd.service")
    assert done.returncode == 0, done.stdout


def test_jit_lets_handlers_make_code(box):
    relax(box, "jit")
    box.configure({"handlers": {"jit": shell("python3 -c 'import mmap; mmap.mmap(-1, 1, prot=7)'")}})
    assert box.do("jit")["status"] == "ok"


def test_network_lets_handlers_reach_other_hosts(box):
    # an address that is not the host's own by its number, though it is answered here
    script = ("import socket, fcntl, struct; s = socket.socket();"
              " fcntl.ioctl(s, 0x8916, struct.pack('16sH2x4s8x', b'lo:1', 2, bytes([10, 1, 2, 3])))")
    box("python3", "-c", script)
    box.redis("CONFIG", "SET", "protected-mode", "no")
    box.redis("CONFIG", "SET", "bind", "* -::*")
    ask = ("import socket; s = socket.create_connection((\"10.1.2.3\", 6379), 2);"
           " s.send(b\"PING\\r\\n\"); print(s.recv(5).decode())")
    config = {"handlers": {
        "reach": shell(f"python3 -c '{ask}'"),
        "netlink": shell("python3 -c 'import socket; socket.if_nameindex();"
                         " socket.socket(socket.AF_NETLINK, socket.SOCK_RAW)'")}}
    box.configure(config)
    assert box.do("reach")["status"] == "error"
    assert box.do("netlink")["status"] == "error"
    relax(box, "network")
    box.configure(config)
    assert tell(box, box.submit("reach")) == "+PONG"
    assert box.do("netlink")["status"] == "ok"


def test_files_lets_handlers_keep_files(box):
    config = {"handlers": {
        "keep": shell("umask && echo kept > /var/lib/stint/file && cat /var/lib/stint/file")}}
    box.configure(config)
    assert box.do("keep")["status"] == "error"
    relax(box, "files")
    box.configure(config)
    assert tell(box, box.submit("keep")) == "0022\nkept"
    box.configure(config)  # another start finds it
    assert box("cat", "/var/lib/stint/file") == "kept\n"


def test_sudo_lets_handlers_have_more_rights(box):
    box.write("/etc/sudoers.d/stint", "stint ALL=(ALL) NOPASSWD: ALL\n", mode="440")
    config = {"handlers": {"root": shell("sudo -n id -u")}}
    relax(box, "sudo")
    box.configure(config)
    assert tell(box, box.submit("root")) == "0"


def test_a_subgroup_of_systemd_is_where_the_daemon_stays(box, suite):
    box.write("/etc/systemd/system/stintd.service.d/subgroup.conf",
              "[Service]\nDelegateSubgroup=main\n")
    box("systemctl", "daemon-reload")
    box.configure({"handlers": {"hold": shell("cat /proc/self/cgroup >&2; exec sleep 600")}})
    # systemd before 254 does not know of it: the daemon makes one of its own
    own = "stintd" if suite == "bookworm" else "main"
    tree = "/sys/fs/cgroup/system.slice/stintd.service"
    assert box("grep", "^0::", f"/proc/{box.pid()}/cgroup") == (
        f"0::/system.slice/stintd.service/{own}\n")
    job = box.submit("hold")
    [leaf] = wait_until(lambda: [name for name in box("ls", tree).split()
                                 if name.startswith("job-")], "the group of the job")
    assert box.ok("test", "-w", f"{tree}/{leaf}/cgroup.kill")
    wait_until(lambda: box("cat", f"{tree}/{leaf}/cgroup.procs"), "the job in its group")
    folders = set(box("find", tree, "-mindepth", "1", "-type", "d", "-printf", "%P\n").split())
    assert folders == {own, leaf}
    box("stintctl", "cancel", job)
    assert box.result(job)["status"] == "cancelled"
    wait_until(lambda: leaf not in box("ls", tree), "the group to be removed")


def test_a_socket_unit_hands_its_descriptor_over(box):
    """The service is laid out for one; what would read it comes with the http listener."""
    box("systemctl", "stop", "stintd")
    box.write("/etc/systemd/system/stintd.socket",
              "[Socket]\nListenStream=10.9.9.9:7077\nFreeBind=yes\n")
    box.configure({}, unit="stintd.socket", how="start")
    box.configure({"handlers": {}}, how="start")
    environment = box("cat", f"/proc/{box.pid()}/environ").split("\0")
    assert "LISTEN_FDS=1" in environment
    wait_until(lambda: box.show("stintd", "ActiveState") == "active", "the service")
