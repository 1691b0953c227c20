"""Deployments of ARM templates: each resource is written in its turn, as if its own PUT had come.

This is how `az vm create` and `az vm availability-set create` make things. Templates may hold resources,
`dependsOn` and parameters; every other expression, loop or condition is refused.
"""

import re
import time
from collections.abc import Callable
from typing import Any

from sandbox.arm import resource_groups, responses
from sandbox.arm.cloud import Cloud
from sandbox.arm.errors import ArmError, child_not_found, group_being_deleted, not_emulated
from sandbox.arm.operations import timestamp
from sandbox.arm.resource_type import Answer, Call
from sandbox.arm.shapes import check_shape, without_nulls
from sandbox.arm.store import Deployment, Json

RESOURCE: Json = {"type": str, "name": str, "apiVersion": str, "dependsOn": [str]}
SHAPE: Json = {
    "properties": {
        "mode": str,
        "parameters": {},
        "template": {
            "parameters": {},
            "outputs": {},
            "resources": [RESOURCE],
        },
    }
}
NOT_IN_A_BODY = {"type", "name", "apiVersion", "dependsOn", "comments"}
POLL_S = 0.05


def put(cloud: Cloud, call: Call, name: str, deployment: str, write: Callable[[Call], Answer]) -> Answer:
    """Deploy a template into a group; what is there already and is not in it stays.

    Source: DeploymentFailed and InvalidTemplate on the page "Troubleshoot common Azure deployment errors"
    of the Azure documentation; their texts are shortened.
    """
    group = resource_groups.existing(cloud, name)
    if group.deleting:
        raise group_being_deleted(group.name)
    calls = _calls(call, f"/subscriptions/{cloud.subscription_id}/resourceGroups/{group.name}")
    operation = cloud.operations.start(
        location=group.location, namespace="Microsoft.Resources", shows="Running", seconds=0
    )
    made = Deployment(deployment, group.name, operation, tuple(inner.path for inner in calls))
    cloud.store.deployments[made.key] = made
    cloud.operations.run(operation, lambda: _deploy(cloud, deployment, calls, write))
    headers = responses.operation_headers(cloud, call, operation)
    return Answer(201, _document(cloud, made), headers)


def get(cloud: Cloud, call: Call, name: str, deployment: str) -> Answer:
    """Show a deployment."""
    group = resource_groups.existing(cloud, name)
    found = cloud.store.deployments.get(f"{group.name}/{deployment}".lower())
    if found is None:
        raise child_not_found(f"deployment {deployment}")
    return Answer(200, _document(cloud, found))


def list_all(cloud: Cloud, call: Call, name: str) -> Answer:
    """All deployments into a group."""
    group = resource_groups.existing(cloud, name)
    found = [one for one in cloud.store.deployments.values() if one.group == group.name]
    return responses.listing([_document(cloud, one) for one in found])


def _document(cloud: Cloud, deployment: Deployment) -> Json:
    group = f"/subscriptions/{cloud.subscription_id}/resourceGroups/{deployment.group}"
    return {
        "id": f"{group}/providers/Microsoft.Resources/deployments/{deployment.name}",
        "name": deployment.name,
        "type": "Microsoft.Resources/deployments",
        "properties": {
            "mode": "Incremental",
            "provisioningState": cloud.operations.provisioning_state(deployment.operation),
            "timestamp": timestamp(deployment.operation.started_at),
            "outputResources": [{"id": path} for path in deployment.resources],
        },
    }


def _deploy(cloud: Cloud, name: str, calls: list[Call], write: Callable[[Call], Answer]) -> None:
    for inner in calls:
        try:
            with cloud.store.lock:
                write(inner)
            cloud.converge()
            _wait(cloud, inner.path)
        except ArmError as error:
            message = f"At least one resource of the deployment '{name}' failed: {inner.path}."
            failed = ArmError(409, "DeploymentFailed", message)
            failed.details.append(error.body())
            raise failed from error


def _wait(cloud: Cloud, path: str) -> None:
    """Wait until a resource is there; each operation ends, by the clock or with its work."""
    while True:
        with cloud.store.lock:
            cloud.operations.settle()
            found = cloud.store.find(path)
            if found is None:  # somebody has deleted it meanwhile
                raise child_not_found(path)
            operation = found.operation
            status = cloud.operations.status(operation) if operation else "Succeeded"
        if operation and operation.error and status == "Failed":
            raise operation.error
        if status == "Succeeded":
            return
        time.sleep(POLL_S)


def _calls(call: Call, group_path: str) -> list[Call]:
    """One PUT for each resource, those that others depend on first."""
    body = without_nulls(call.body)
    check_shape(body, SHAPE, "")
    properties = body.get("properties", {})
    template = properties.get("template", {})
    if str(properties.get("mode", "")).lower() != "incremental":
        raise not_emulated("deployments that are not incremental")
    if "template" not in properties:
        raise not_emulated("templates that are not in the request")
    if template.get("outputs"):
        raise not_emulated("outputs of templates")
    values = _values(template, "defaultValue") | _values(properties, "value")
    waiting: list[Json] = [_evaluated(found, values) for found in template.get("resources", [])]
    check_shape(waiting, [RESOURCE], "resources")  # a parameter may be of any type
    calls: list[Call] = []
    while waiting:
        keys = [_key(found) for found in waiting]
        ready = [found for found in waiting if not any(_names(on, keys) for on in found.get("dependsOn", []))]
        if not ready:
            message = f"Deployment template validation failed: circular dependency among {', '.join(keys)}."
            raise ArmError(400, "InvalidTemplate", message)
        calls += [_call(call, group_path, found) for found in ready]
        waiting = [found for found in waiting if found not in ready]
    return calls


def _values(holder: Json, key: str) -> Json:
    """The values of those parameters that have one here."""
    parameters = holder.get("parameters", {})
    for name, given in parameters.items():
        check_shape(given, {}, f"parameters.{name}")
    return {name: given[key] for name, given in parameters.items() if key in given}


def _evaluated(value: Any, parameters: Json) -> Any:
    """Put parameters in their places; whatever else a template could compute is refused."""
    if isinstance(value, dict):
        if "copy" in value or "condition" in value:
            raise not_emulated("loops and conditions in templates")
        return {name: _evaluated(inner, parameters) for name, inner in value.items()}
    if isinstance(value, list):
        return [_evaluated(inner, parameters) for inner in value]
    if not isinstance(value, str) or not value.startswith("["):
        return value
    match = re.fullmatch(r"\[parameters\('([^']+)'\)\]", value)
    if not match or match[1] not in parameters:
        raise not_emulated(f"the template expression {value}")
    return parameters[match[1]]


def _key(resource: Json) -> str:
    return f"{resource.get('type')}/{resource.get('name')}"


def _names(dependency: str, keys: list[str]) -> bool:
    """Tell whether a dependency, a full id or not, is still waiting."""
    return any(f"/{dependency}".lower().endswith(f"/{key}".lower()) for key in keys)


def _call(outer: Call, group_path: str, resource: Json) -> Call:
    namespace, *types = resource.get("type", "").split("/")
    names = resource.get("name", "").split("/")
    if len(types) != len(names):
        message = f"Deployment template validation failed: {_key(resource)} has incorrect segment lengths."
        raise ArmError(400, "InvalidTemplate", message)
    pairs = "/".join(part for pair in zip(types, names, strict=True) for part in pair)
    body = {name: value for name, value in resource.items() if name not in NOT_IN_A_BODY}
    version = {"api-version": resource.get("apiVersion", "")}
    return Call("PUT", f"{group_path}/providers/{namespace}/{pairs}", version, {}, body, outer.base_url)
