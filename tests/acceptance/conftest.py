"""The modules next to the tests that assert something: their failures show the values too."""

from __future__ import annotations

import pytest

pytest.register_assert_rewrite(
    "tests.acceptance.bad_input_case", "tests.acceptance.bad_input_world", "tests.acceptance.messages_in_mid_send"
)
