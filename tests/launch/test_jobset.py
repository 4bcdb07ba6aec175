"""The JobSet: its fields, and the command that its pods run."""

import os
import subprocess

import pytest
import yaml

from sparsity_jax.errors import UserError
from sparsity_jax.launch.jobset import Resources, manifest

ASK = Resources("table1", image="registry/train:1", claim="filestore", mount="/shared")


def job(text: str) -> dict:
    (replicated,) = yaml.safe_load(text)["spec"]["replicatedJobs"]
    assert replicated["replicas"] == 1
    return replicated["template"]["spec"]


def test_one_pod_per_share_each_with_the_whole_slice_of_a_host():
    read = yaml.safe_load(manifest(["train"], 8, 3, ASK))
    assert (read["apiVersion"], read["kind"]) == ("jobset.x-k8s.io/v1alpha2", "JobSet")
    assert read["metadata"]["name"] == "table1"
    spec = job(manifest(["train"], 8, 3, ASK))
    assert spec["completionMode"] == "Indexed"
    assert spec["completions"] == spec["parallelism"] == 8
    assert spec["backoffLimitPerIndex"] == 3
    pod = spec["template"]["spec"]
    assert pod["restartPolicy"] == "Never"  # as a limit per index demands
    assert pod["nodeSelector"] == {
        "cloud.google.com/gke-tpu-accelerator": "tpu-v5-lite-podslice",
        "cloud.google.com/gke-tpu-topology": "2x2",
    }
    (container,) = pod["containers"]
    assert container["image"] == "registry/train:1"
    assert container["resources"]["limits"] == container["resources"]["requests"]
    assert container["resources"]["limits"] == {"google.com/tpu": 4}
    (volume,), (mount,) = pod["volumes"], container["volumeMounts"]
    assert volume["persistentVolumeClaim"] == {"claimName": "filestore"}
    assert (mount["name"], mount["mountPath"]) == (volume["name"], "/shared")


def test_wrong_input_is_not_tried_again_and_a_node_taken_away_does_not_count():
    spec = job(manifest(["train"], 2, 3, ASK))
    ignore, fail = spec["podFailurePolicy"]["rules"]
    assert ignore == {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget"}]}
    assert (fail["action"], fail["onExitCodes"]["values"]) == ("FailIndex", [2])
    (container,) = spec["template"]["spec"]["containers"]
    assert fail["onExitCodes"]["containerName"] == container["name"]


def test_a_pod_trains_the_share_of_its_index(work):
    command = [*work.command(units=1), "--config.name=it's $HOME"]
    (container,) = job(manifest(command, 3, 0, ASK))["template"]["spec"]["containers"]
    subprocess.run(
        container["command"], env={**os.environ, "JOB_COMPLETION_INDEX": "2"}, check=True
    )
    assert [line[1] for line in work.events("end")] == ["2"]


@pytest.mark.parametrize("image", ["registry/train:1", "@sha: #1", "yes", 'it\'s "quoted" $HOME'])
def test_every_value_comes_back_as_it_was_given(image):
    ask = Resources("on", image=image, claim="null", mount="/1: 2", accelerator="0x10")
    spec = job(manifest(["train"], 2, 0, ask))["template"]["spec"]
    (container,), (volume,) = spec["containers"], spec["volumes"]
    assert container["image"] == image
    assert container["volumeMounts"][0]["mountPath"] == "/1: 2"
    assert volume["persistentVolumeClaim"]["claimName"] == "null"
    assert spec["nodeSelector"]["cloud.google.com/gke-tpu-accelerator"] == "0x10"


@pytest.mark.parametrize(
    ("changed", "complaint"),
    [
        ({"topology": "4x4"}, "--topology=4x4 has 16 chips, but --tpus=4 .* 2x4"),
        ({"topology": "four"}, "--topology=four is not valid"),
        ({"name": "Table_1"}, "--name=Table_1 is not valid"),
        ({"claim": "a claim"}, "--claim=a claim is not valid"),
    ],
)
def test_what_the_cluster_would_refuse_is_refused(changed, complaint):
    ask = Resources(**{**vars(ASK), **changed})
    with pytest.raises(UserError, match=complaint):
        manifest(["train"], 2, 0, ask)
