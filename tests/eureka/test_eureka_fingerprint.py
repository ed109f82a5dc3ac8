from resilient.eureka.fingerprint import apps_hash, count, directory_hash
from resilient.model import Directory, Instance, Status


def test_statuses_in_order_with_their_counts():
    assert apps_hash({Status.UP: 3, Status.DOWN: 1}) == "DOWN_1_UP_3_"
    assert (
        apps_hash({Status.STARTING: 1, Status.UP: 4, Status.OUT_OF_SERVICE: 2})
        == "OUT_OF_SERVICE_2_STARTING_1_UP_4_"
    )


def test_nobody_gives_an_empty_text():
    assert apps_hash({}) == apps_hash({Status.UP: 0}) == directory_hash(Directory()) == ""


def test_a_directory_is_counted_over_all_services_and_statuses():
    members = [
        Instance(service=service, id=str(number), host="h", port=80, status=status)
        for number, (service, status) in enumerate(
            [("a", Status.UP), ("a", Status.UNKNOWN), ("b", Status.UP), ("b", Status.DOWN)]
        )
    ]

    assert directory_hash(Directory.of(members)) == "DOWN_1_UNKNOWN_1_UP_2_"
    assert count(members)[Status.UP] == 2
