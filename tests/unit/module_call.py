# Copyright (c) The awsome.distributed_training authors
# SPDX-License-Identifier: Apache-2.0
"""A module called in this process, its arguments held to its own specification by Ansible's validator."""

from __future__ import annotations

from types import ModuleType
from typing import Any, NoReturn

import pytest
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator


class EndedError(Exception):
    """A module's answer."""

    def __init__(self, answer: dict[str, Any]) -> None:
        super().__init__(str(answer))
        self.answer = answer


def call(module: ModuleType, check_mode: bool = False, **asked: Any) -> dict[str, Any]:
    """What a module answers; with ``failed`` where it fails."""

    class Module:
        def __init__(self, argument_spec: dict[str, Any], supports_check_mode: bool, **rules: Any) -> None:
            checked = ArgumentSpecValidator(argument_spec, **rules).validate(asked)
            if checked.error_messages:
                self.fail_json(msg=checked.error_messages[0])
            self.params, self.check_mode = checked.validated_parameters, check_mode and supports_check_mode

        def exit_json(self, **answer: Any) -> NoReturn:
            raise EndedError(answer)

        def fail_json(self, **answer: Any) -> NoReturn:
            raise EndedError({"failed": True, **answer})

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "AnsibleModule", Module)
        with pytest.raises(EndedError) as ended:
            module.main()
    return ended.value.answer
