"""All images of this repository: `doit` builds them, `doit list --all` shows the tasks."""

from scratchtasks import Workspace

task_images = Workspace(services=["services/*"])
