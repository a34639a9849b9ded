# SPDX-License-Identifier: BSD-3-Clause
"""check_truth.py WIREWISE: reads machines that others gathered, and compares with what is known
of them. WIREWISE_MACHINES names a folder: hwloc/*.xml, nccl/*.xml, truth/*.json, sysfs/*.tar.*
(trees by hwloc-gather-topology); without it the test is skipped (77). Prints a line per file."""
import json
import os
import subprocess
import sys
import tarfile
import tempfile

SKIPPED = 77
HWLOC_BELIEVED_GB_S = 7.0  # slower links of GPUs are those of an idle one
PORT_BELIEVED_MB_S = 10000000  # faster ports are in the wrong unit
PARTS = "table of parts"
# The truth guesses by the LID; Omni-Path has one as well, and drivers of iWARP answer 1.
KINDS = {"Ethernet": ("RoCE", "EFA", "usNIC", "iWARP", "RDMA of unknown kind"),
         "InfiniBand": ("InfiniBand", "Omni-Path", "iWARP", "RDMA of unknown kind")}


class Judge:
    def __init__(self, name):
        self.name, self.wrong, self.checks = name, [], 0

    def equal(self, what, got, wanted):
        self.checks += 1
        if got != wanted:
            self.wrong.append(f"{what}: {got!r}, should be {wanted!r}")


def read_machine(wirewise, path, option="--xml"):
    ran = subprocess.run([wirewise, "wires", "--json", option, path], capture_output=True,
                         text=True, timeout=60)
    if ran.returncode != 0:
        raise SystemExit(f"FAILED: {path}: exit {ran.returncode}: {ran.stderr}")
    return json.loads(ran.stdout)


def value(fact):
    return fact["value"]


def near(gpu, which):
    return gpu[which]["place"], sorted(gpu[which]["nics"])


def check_gpus(judge, machine, truth):
    got = {gpu["pci"]: gpu for gpu in machine["gpus"]}
    judge.equal("GPUs", sorted(got), sorted(gpu["pci"] for gpu in truth["gpus"]))
    for wanted in truth["gpus"]:
        gpu, pci = got.get(wanted["pci"]), wanted["pci"]
        if gpu is None:
            continue
        judge.equal(f"{pci} numa", value(gpu["numa_node"]), wanted["numa"])
        judge.equal(f"{pci} package", value(gpu["package"]), wanted["package"])
        judge.equal(f"{pci} model", gpu["model"], wanted.get("model"))
        judge.equal(f"{pci} uuid", gpu["uuid"], wanted.get("uuid"))
        gb_s = wanted["pcie_link_GBs"]
        judge.equal(f"{pci} PCIe", value(gpu["pcie_gb_s"]) and round(value(gpu["pcie_gb_s"]), 1),
                    gb_s if gb_s > HWLOC_BELIEVED_GB_S else None)
        for which, key in (("nearest", "nearest_rdma"), ("nearest_up", "nearest_active_rdma")):
            judge.equal(f"{pci} {which}", near(gpu, which),
                        (wanted[key].get("class"), sorted(wanted[key].get("devs", []))))


def check_nics(judge, machine, truth):
    got = {nic["name"]: nic for nic in machine["nics"] if nic["rdma"]}
    judge.equal("RDMA devices", sorted(got), sorted(nic["name"] for nic in truth["rdma_devices"]))
    for wanted in truth["rdma_devices"]:
        nic, name = got.get(wanted["name"]), wanted["name"]
        if nic is None:
            continue
        judge.equal(f"{name} pci", nic["pci"], wanted["pci"])
        judge.equal(f"{name} numa", value(nic["numa_node"]), wanted["numa"])
        judge.equal(f"{name} package", value(nic["package"]), wanted["package"])
        if wanted["ports"]:
            judge.equal(f"{name} ports", [(p["port"], p["state"]) for p in nic["ports"]],
                        [(p["port"], "UP" if p["active"] else "DOWN") for p in wanted["ports"]])
        for port, told in zip(nic["ports"], wanted["ports"]):
            if told["active"]:
                kinds = KINDS[told["link_layer_guess"]]
                judge.equal(f"{name} kind {port['kind']}", port["kind"] in kinds, True)


def matrix_of(truth, name):
    for matrix in truth["distances"]:
        if matrix["name"] == name:
            return matrix
    return None


def has_no_links(gpu):
    """Parts that have no links at all (T4, RTX 4090) need no matrix to say so."""
    return gpu["links"]["known"] == "absent" and gpu["links"]["source"] == PARTS


def check_links(judge, machine, truth):
    """Pairs as the matrix has them; through switches the lesser of what both ends send there."""
    nvlink, xgmi = matrix_of(truth, "NVLinkBandwidth"), matrix_of(truth, "XGMIBandwidth")
    owner = {name: gpu["pci"] for gpu in truth["gpus"] for name in gpu["osdevs"]}
    pci = [gpu["pci"] for gpu in machine["gpus"]]
    for pair in machine["pairs"]:
        a, b = pci[pair["a"]], pci[pair["b"]]
        what = f"{a}-{b}"
        if nvlink is None and xgmi is None:
            linkless = any(has_no_links(machine["gpus"][pair[end]]) for end in ("a", "b"))
            judge.equal(what, pair["kind"], "none" if linkless else "unknown")
            continue
        matrix = nvlink or xgmi
        objects, size = matrix["objs"], len(matrix["objs"])
        row = [[i for i, o in enumerate(objects) if owner.get(o) == gpu][0] for gpu in (a, b)]
        mb_s = matrix["values"][row[0] * size + row[1]]
        if xgmi is not None:
            judge.equal(what, (pair["kind"], value(pair["gb_s"])),
                        ("xGMI" if mb_s else "none", None))
            continue
        switched = [sum(matrix["values"][r * size + i] for i, o in enumerate(objects)
                        if o.endswith("NVSwitch")) for r in row]
        total = mb_s + min(switched)
        kind = "NVSwitch" if min(switched) else "NVLink" if mb_s else "none"
        judge.equal(what, (pair["kind"], value(pair["gb_s"])), (kind, total / 1000 or None))


def check_hwloc(judge, machine, truth):
    about = machine["machine"]
    for key, wanted in (("packages", "packages"), ("numa_nodes", "numa_nodes"), ("cores", "cores"),
                        ("threads", "pus"), ("numa_nodes_without_cores", "numa_nodes_without_cpu")):
        judge.equal(key, value(about[key]) or 0, truth[wanted])
    judge.equal("name", about["name"], truth.get("HostName"))
    check_gpus(judge, machine, truth)
    check_nics(judge, machine, truth)
    check_links(judge, machine, truth)


def check_nccl(judge, machine, truth):
    judge.equal("GPUs", len(machine["gpus"]), truth["gpu_count"])
    judge.equal("NICs", len(machine["nics"]), truth["net_count"])
    judge.equal("CPUs", value(machine["machine"]["numa_nodes"]), truth["cpus"])
    rates = {}
    for nic in machine["nics"]:
        rate = nic["ports"][0]["rate_gbit_s"]
        told = rate["known"] == "known" and rate["source"] != PARTS
        key = str(round(rate["value"] * 1000)) if told else "null"
        rates[key] = rates.get(key, 0) + 1
    wanted = {}
    for key, count in truth["net_speeds_mbps"].items():
        key = "null" if key != "null" and int(key) > PORT_BELIEVED_MB_S else key
        wanted[key] = wanted.get(key, 0) + count
    judge.equal("rates", rates, wanted)
    got = {gpu["pci"]: gpu for gpu in machine["gpus"]}
    direct = {}
    for pair in machine["pairs"]:
        for here, there in ((pair["a"], pair["b"]), (pair["b"], pair["a"])):
            if pair["kind"] not in ("unknown", "none", "NVSwitch"):
                pci = [machine["gpus"][i]["pci"] for i in (here, there)]
                direct.setdefault(pci[0], {})[pci[1]] = value(pair["links"])
    places = {"CPU": "NODE"}  # NCCL does not tell host bridges apart
    for wanted in truth["gpus"]:
        gpu, pci = got.get(wanted["pci"]), wanted["pci"]
        if gpu is None:
            judge.equal(f"{pci}", None, "a GPU")
            continue
        judge.equal(f"{pci} numa", value(gpu["numa_node"]), wanted["numa"])
        judge.equal(f"{pci} links", value(gpu["links"]) or 0, wanted["links_total"])
        if wanted["links_total"] == 0 and not has_no_links(gpu):
            judge.equal(f"{pci} links known", gpu["links"]["known"], "unknown")
        if wanted["links_to_switch"] == 0:
            judge.equal(f"{pci} peers", direct.get(pci, {}), wanted["peers"])
        else:
            judge.equal(f"{pci} peers", {p["kind"] for p in machine["pairs"]}, {"NVSwitch"})
        place = wanted["nearest"]["class"]
        judge.equal(f"{pci} nearest", near(gpu, "nearest"),
                    (places.get(place, place), sorted(wanted["nearest"]["nets"])))


def read_line(*path):
    try:
        with open(os.path.join(*path), encoding="utf-8") as file:
            return file.readline().strip()
    except OSError:
        return ""


def check_tree(judge, wirewise, tree):
    """Ports are as their own files say."""
    machine = read_machine(wirewise, tree, "--root")
    folder = os.path.join(tree, "sys/class/infiniband")
    devices = sorted(os.listdir(folder)) if os.path.isdir(folder) else []
    devices = [name for name in devices if os.path.isdir(os.path.join(folder, name, "ports"))]
    judge.equal("RDMA devices", sorted(n["name"] for n in machine["nics"] if n["rdma"]), devices)
    cores = len([n for n in os.listdir(os.path.join(tree, "sys/devices/system/cpu"))
                 if n[:3] == "cpu" and n[3:].isdigit()
                 and os.path.isdir(os.path.join(tree, "sys/devices/system/cpu", n, "topology"))])
    judge.equal("threads", value(machine["machine"]["threads"]), cores)
    for nic in machine["nics"]:
        for port in nic["ports"] if nic["rdma"] else []:
            files = (folder, nic["name"], "ports", str(port["port"]))
            up = read_line(*files, "state")[:2] + read_line(*files, "phys_state")[:2] == "4:5:"
            judge.equal(f"{nic['name']} state", port["state"], "UP" if up else "DOWN")
            judge.equal(f"{nic['name']} rate", value(port["rate_gbit_s"]),
                        float(read_line(*files, "rate").split()[0]))
            judge.equal(f"{nic['name']} kind", port["kind"],
                        {"Ethernet": "RoCE"}.get(read_line(*files, "link_layer"), "InfiniBand"))


def report(judge):
    print(f"{'FAILED' if judge.wrong else 'right '} {judge.name}: {judge.checks} checks")
    for sentence in judge.wrong:
        print(f"    {sentence}")
    return bool(judge.wrong)


def check_trees(wirewise, folder):
    failed = 0
    for name in sorted(os.listdir(folder)) if os.path.isdir(folder) else []:
        judge = Judge(name)
        with tempfile.TemporaryDirectory() as work:
            with tarfile.open(os.path.join(folder, name)) as archive:
                archive.extractall(work)
            for tree in sorted(os.listdir(work)):
                check_tree(judge, wirewise, os.path.join(work, tree))
        failed += report(judge)
    return failed


def main():
    folder = os.environ.get("WIREWISE_MACHINES", "")
    if not folder:
        print("SKIPPED: WIREWISE_MACHINES does not name a folder of gathered machines")
        return SKIPPED
    files, failed = 0, 0
    for name in sorted(os.listdir(os.path.join(folder, "truth"))):
        with open(os.path.join(folder, "truth", name), encoding="utf-8") as file:
            truth = json.load(file)
        nccl = name.startswith("nccl-")
        path = os.path.join(folder, "nccl" if nccl else "hwloc", truth["file"])
        judge = Judge(truth["file"])
        machine = read_machine(sys.argv[1], path)
        (check_nccl if nccl else check_hwloc)(judge, machine, truth)
        files += 1
        failed += report(judge)
    failed += check_trees(sys.argv[1], os.path.join(folder, "sysfs"))
    if files == 0:
        print(f"FAILED: {folder}/truth holds no machine")
    return 1 if failed or files == 0 else 0


if __name__ == "__main__":
    sys.exit(main())
