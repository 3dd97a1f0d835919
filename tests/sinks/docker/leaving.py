"""What killed smoke runs leave in an engine, of several owners, without a run."""

from dataclasses import replace

from docker import DockerClient

from scratchtasks.sinks.smoke.leftovers import REPOSITORY, own_labels, sweep
from scratchtasks.store.owner import this_process


def swept_of(client: DockerClient, image: str) -> set[str]:
    """Whose containers and images, made of *image*, a sweep has removed; the rest go too."""
    living = this_process()
    gone = replace(living, started="1")
    texts = {
        "nobody": "latest",
        "living": f"{living}",
        "gone": f"{gone}",
        "elsewhere": f"{replace(gone, boot='b' * 32, host='c' * 16)}",
    }
    (owner,) = [name for name, text in own_labels().items() if text == str(living)]
    swept = set()
    containers = {}
    tags = {}
    for whose, text in texts.items():
        labels = {**own_labels(), owner: text}
        containers[whose] = client.containers.create(image, network_mode="none", labels=labels)
        tags[whose] = f"{text}_test-{living.pid}"
        client.images.get(image).tag(REPOSITORY, tags[whose])
    try:
        sweep(client)
    finally:
        # Without a look into each: others' may go meanwhile.
        ids = {each["Id"] for each in client.api.containers(all=True)}
        names = {name for each in client.api.images() for name in each["RepoTags"] or ()}
        for whose, container in containers.items():
            has_container = container.id in ids
            has_image = any(name.endswith(f"{REPOSITORY}:{tags[whose]}") for name in names)
            assert has_container is has_image, whose
            if has_container:
                container.remove(force=True)
                client.images.remove(f"{REPOSITORY}:{tags[whose]}")
            else:
                swept.add(whose)
    return swept
