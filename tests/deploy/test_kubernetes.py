"""The manifests for Kubernetes: their schemas, and that they name what there is. No cluster runs them here."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

import raven
from raven import names
from raven.config import Settings
from tests.deploy import rights
from tests.deploy.containers import EXECUTABLES, KNOWN_VARIABLES
from tests.deploy.tools import DEPLOY, check
from tests.servers.mariadb import MariaDb
from watcher.rows import OPEN

FOLDER = DEPLOY / "kubernetes"
FILES = sorted(FOLDER.glob("*.yaml"))
VERSIONS = ("1.30", kubernetes_validate.latest_version())
"""The oldest one that is asked for, and the newest one that is known."""
KEDA = {
    "ScaledObject": {
        "scaleTargetRef",
        "minReplicaCount",
        "maxReplicaCount",
        "pollingInterval",
        "cooldownPeriod",
        "advanced",
        "triggers",
    },
    "TriggerAuthentication": {"secretTargetRef"},
}
"""Fields of KEDA that are used; compared with its own definitions of 2.14.0 and 2.20.1, which no package has."""
TRIGGERS = {"rabbitmq": {"protocol", "queueName", "mode", "value"}, "mysql": {"queryValue", "query"}}


def objects(*kinds: str) -> list[dict[str, Any]]:
    """All objects of these kinds, of all files."""
    found = [thing for file in FILES for thing in yaml.safe_load_all(file.read_text("utf-8"))]
    return [thing for thing in found if thing["kind"] in kinds]


def pods() -> Iterator[tuple[str, dict[str, Any]]]:
    """Of each workload its component and its pod's template."""
    for thing in objects("Deployment", "Job"):
        yield thing["spec"]["template"]["metadata"]["labels"]["app.kubernetes.io/component"], thing["spec"]["template"]
    for thing in objects("CronJob"):
        template = thing["spec"]["jobTemplate"]["spec"]["template"]
        yield template["metadata"]["labels"]["app.kubernetes.io/component"], template


PODS = dict(pods())
DAEMONS = ("watcher", "master", "worker")


def container(component: str) -> dict[str, Any]:
    (found,) = PODS[component]["spec"]["containers"]
    assert isinstance(found, dict)
    return found


def variables(component: str) -> dict[str, str]:
    """What a container has in its environment."""
    own = {variable["name"]: variable["value"] for variable in container(component)["env"]}
    shared: dict[str, str] = objects("ConfigMap")[0]["data"] if "envFrom" in container(component) else {}
    return shared | own


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_kubernetes_knows_each_field(file: Path, version: str) -> None:
    for thing in yaml.safe_load_all(file.read_text("utf-8")):
        if thing["kind"] not in {"Kustomization", *KEDA}:
            kubernetes_validate.validate(thing, version, strict=True)


def test_keda_knows_each_field() -> None:
    for kind, fields in KEDA.items():
        (thing,) = objects(kind)
        assert set(thing["spec"]) <= fields
    for trigger in objects("ScaledObject")[0]["spec"]["triggers"]:
        assert set(trigger) == {"type", "metadata", "authenticationRef"}
        assert set(trigger["metadata"]) == TRIGGERS[trigger["type"]]
        assert {type(value) for value in trigger["metadata"].values()} == {str}, "KEDA takes texts alone"


def test_kubernetes_knows_how_the_scaler_is_to_behave() -> None:
    """KEDA hands that part on to a scaler of Kubernetes."""
    (scaled,) = objects("ScaledObject")
    (part,) = scaled["spec"]["advanced"].values()
    target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "raven-worker"}
    scaler = {"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": {"name": "raven-worker"}}
    kubernetes_validate.validate(
        scaler | {"spec": {"scaleTargetRef": target, "maxReplicas": 20, **part}}, VERSIONS[1], strict=True
    )


def test_kustomize_has_all_files_but_the_secrets_and_gives_the_image_a_version() -> None:
    (kustomization,) = objects("Kustomization")
    listed = set(kustomization["resources"])
    assert listed == {file.name for file in FILES} - {"kustomization.yaml", "secrets.example.yaml"}
    images = {container(component)["image"] for component in PODS}
    assert images == {image["name"] for image in kustomization["images"]}


def test_kustomize_puts_the_files_together() -> None:
    made = list(yaml.safe_load_all(check("kubernetes-client", "kubectl", "kustomize", FOLDER)))

    def names_of(things: Iterable[dict[str, Any]]) -> set[tuple[str, str]]:
        return {(thing["kind"], thing["metadata"]["name"]) for thing in things}

    kinds = {thing["kind"] for file in FILES for thing in yaml.safe_load_all(file.read_text("utf-8"))}
    assert names_of(made) == names_of(objects(*kinds - {"Kustomization", "Secret"}))
    assert {thing["metadata"].get("namespace") for thing in made if thing["kind"] != "Namespace"} == {"raven"}
    images = set(re.findall(r"'image': '([^']+)'", str(made)))
    assert images == {f"registry.example/raven:{raven.__version__}"}


@pytest.mark.parametrize("component", PODS)
def test_a_pod_is_allowed_nothing_that_it_does_not_need(component: str) -> None:
    spec, one = PODS[component]["spec"], container(component)
    assert spec["automountServiceAccountToken"] is False
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    context = one["securityContext"]
    assert context["capabilities"] == {"drop": ["ALL"]}
    assert (context["allowPrivilegeEscalation"], context["readOnlyRootFilesystem"]) == (False, True)
    assert "memory" in one["resources"]["limits"]
    assert {"cpu", "memory"} <= set(one["resources"]["requests"])


@pytest.mark.parametrize("component", PODS)
def test_a_pod_sets_what_there_is_and_runs_what_there_is(component: str) -> None:
    assert set(variables(component)) <= KNOWN_VARIABLES
    assert container(component)["command"][0] in EXECUTABLES
    values = {k.removeprefix("RAVEN_").lower(): v for k, v in variables(component).items() if not k.endswith("_FILE")}
    Settings.model_validate({name: value for name, value in values.items() if name in Settings.model_fields})


@pytest.mark.parametrize("component", PODS)
def test_a_pods_secrets_are_its_own_and_in_the_example(component: str) -> None:
    """A secret is a folder, its keys are files: each that a setting names is there."""
    example = {thing["metadata"]["name"]: set(thing["stringData"]) for thing in objects("Secret")}
    spec = PODS[component]["spec"]
    (secret,) = (volume["secret"] for volume in spec["volumes"] if "secret" in volume)
    (folder,) = (m["mountPath"] for m in container(component)["volumeMounts"] if m["name"] == "secrets")
    files = {name: value for name, value in variables(component).items() if name.endswith("_FILE")}
    files.pop("RAVEN_ALIVE_FILE", None)

    assert secret["secretName"] == f"raven-{component}"
    assert set(files.values()) == {f"{folder}/{key}" for key in example[secret["secretName"]]}


def test_no_worker_and_no_master_has_the_database() -> None:
    with_database = {component for component in PODS if "RAVEN_DATABASE_FILE" in variables(component)}
    assert with_database == {"watcher", "scrub", "migrate"}
    assert [component for component in PODS if "RAVEN_SOURCES" in variables(component)] == ["master"]


@pytest.mark.parametrize("component", DAEMONS)
def test_a_daemon_has_as_long_to_stop_as_its_unit_gives_it(component: str) -> None:
    unit = (DEPLOY / "systemd" / f"raven-{component}.service").read_text("utf-8")
    (seconds,) = re.findall(r"^TimeoutStopSec=(\d+)s", unit, re.M)
    drained = re.findall(r"timeout (\d+) tail", unit)
    hook = str(container(component).get("lifecycle", ""))

    assert PODS[component]["spec"]["terminationGracePeriodSeconds"] == int(seconds)
    assert re.findall(r"timeout (\d+) tail", hook) == drained


@pytest.mark.parametrize("component", DAEMONS)
def test_a_daemons_port_of_metrics_is_the_one_that_it_takes(component: str) -> None:
    assert f"{component}s {container(component)['ports'][0]['containerPort']}" in description_of_metrics()


def description_of_metrics() -> str:
    text = Settings.model_fields["metrics"].description or ""
    return text.replace("Watchers take port", "watchers")


def test_what_selects_pods_finds_some() -> None:
    """Budgets, network policies and the scaler."""
    for thing in objects("PodDisruptionBudget", "NetworkPolicy"):
        selector = thing["spec"].get("podSelector") or thing["spec"].get("selector") or {}
        assert any(fits(selector, template["metadata"]["labels"]) for template in PODS.values()), thing["metadata"]
    deployments = {thing["metadata"]["name"] for thing in objects("Deployment")}
    assert objects("ScaledObject")[0]["spec"]["scaleTargetRef"]["name"] in deployments


def fits(selector: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    wanted = selector.get("matchLabels", {})
    among = selector.get("matchExpressions", [])
    return all(labels.get(k) == v for k, v in wanted.items()) and all(
        labels.get(one["key"]) in one["values"] for one in among
    )


def test_workers_are_scaled_by_the_queues_and_the_jobs_that_are_theirs() -> None:
    (scaled,) = objects("ScaledObject")
    triggers = scaled["spec"]["triggers"]
    queues = [trigger["metadata"]["queueName"] for trigger in triggers if trigger["type"] == "rabbitmq"]
    (query,) = (trigger["metadata"]["query"] for trigger in triggers if trigger["type"] == "mysql")

    assert queues == [names.lane_queue("worker"), names.lane_queue(names.light("worker"))]
    lanes = {"worker", names.light("worker")}
    assert set(re.findall(r"'([\w.]+)'", query)) == lanes | set(OPEN)


@pytest.mark.servers
def test_the_scaler_counts_what_wants_a_slot_with_rights_that_read_alone(mariadb_server: MariaDb) -> None:
    """As many pods as chunks, or as sounds and texts, whichever are more: each has a slot for both."""
    (scaled,) = objects("ScaledObject")
    (trigger,) = (t for t in scaled["spec"]["triggers"] if t["type"] == "mysql")
    chunks, light = "worker", names.light("worker")
    rows = [(chunks, "waiting"), (chunks, "queued"), (chunks, "running"), (chunks, "done"), ("master", "waiting")]
    rows += [(light, "running"), (light, "failed")]

    with rights.installed(mariadb_server) as server:

        def asked() -> int:
            query = trigger["metadata"]["query"]
            said = server.run_script("raven", query, "raven_scrub", rights.PASSWORDS["raven_scrub"])
            return int(said.splitlines()[1])

        assert asked() == 0
        values = ", ".join(f"(1, 'x', {n}, '{lane}', '{state}')" for n, (lane, state) in enumerate(rows))
        server.run_script("raven", f"INSERT INTO jobs (task_id, kind, position, lane, state) VALUES {values}")  # noqa: S608
        assert asked() == 3

        many = "SELECT 2, 'x', seq, IF(seq % 2, 'worker', 'worker.light'), 'waiting' FROM seq_1_to_2000"
        server.run_script("raven", f"INSERT INTO jobs (task_id, kind, position, lane, state) {many}")
        assert asked() == scaled["spec"]["maxReplicaCount"] * int(trigger["metadata"]["queryValue"])
        query = f"{trigger['metadata']['query']}; SHOW SESSION STATUS LIKE 'Handler_read%'"
        said = server.run_script("raven", query, "raven_scrub", rights.PASSWORDS["raven_scrub"])
        assert sum(int(n) for n in re.findall(r"Handler_read\w*\t(\d+)", said)) < 200, "it reads no more than it counts"


def test_keda_finds_each_secret_that_it_is_to_look_with() -> None:
    example = {thing["metadata"]["name"]: set(thing["stringData"]) for thing in objects("Secret")}
    for target in objects("TriggerAuthentication")[0]["spec"]["secretTargetRef"]:
        assert target["key"] in example[target["name"]]
