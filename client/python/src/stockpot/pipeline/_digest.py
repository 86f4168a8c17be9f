"""One digest of a job and of all that it reads, by content."""

from __future__ import annotations

import hashlib
import json

from google.protobuf import json_format

from ..client import Client
from ..errors import InvalidArgument
from ..v1 import soup_service_pb2, spec_pb2
from ._job_file import data_sets_of


def digest_of(client: Client, spec: spec_pb2.JobSpec) -> str:
    """SHA-256 in hexadecimal. The server reads every input for it; nothing of where they lie is in it.

    Raises InvalidArgument for ingredients that are patterns: what they match is known when the job runs.
    """
    named = spec_pb2.JobSpec()
    named.CopyFrom(spec)
    if any(ingredient.uri_pattern for ingredient in named.ingredients):
        raise InvalidArgument(
            "ingredients.uri_pattern: what it matches is known when the job runs; list the files for a digest"
        )
    model = named.model
    model.architecture_uri = client.inspect(architecture=model.architecture_uri).digest
    for ingredient in named.ingredients:
        found = client.inspect(
            checkpoint=ingredient.uri,
            base=spec.model.base_uri or None,
            state_dict_key=model.state_dict_key,
            tensor_renames=list(model.tensor_renames),
        )
        ingredient.uri = found.digest
    if model.base_uri:
        model.base_uri = client.inspect(checkpoint=model.base_uri).digest
    normalisations = []
    for data_set in data_sets_of(named):
        seen = client.inspect(data_set=data_set)
        assert isinstance(seen, soup_service_pb2.DataSetDescription)
        data_set.uri = seen.digest
        if data_set.image_transform.config_uri:  # what the file asks for, wherever it lies
            data_set.image_transform.CopyFrom(seen.image_transform)
            normalisations.append([list(seen.mean), list(seen.standard_deviation), seen.scale_to_unit])
        if data_set.classifier.uri:
            data_set.classifier.uri = client.inspect(checkpoint=data_set.classifier.uri).digest
    # Where the soup goes, and how fast it is made, changes nothing of it.
    named.output.ClearField("output_uri")
    named.ClearField("limits")
    content = json_format.MessageToDict(named, preserving_proto_field_name=True)
    if normalisations:
        content["normalisations"] = normalisations
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
