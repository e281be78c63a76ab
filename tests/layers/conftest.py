import pytest
from cases import CASES


@pytest.fixture(params=list(CASES))
def case(request):
    return request.param
