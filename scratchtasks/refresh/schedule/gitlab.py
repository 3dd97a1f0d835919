"""GitLab CI: a job for a pipeline schedule that opens a merge request."""

from .place import Place

_TEXT = """\
# For .gitlab-ci.yml.  Then, in the project:
# - Build, Pipeline schedules: a new one, "{minute} 3 * * *".
# - Settings, Access tokens: a project token, role Developer, scope write_repository and nothing
#   else; Settings, CI/CD, Variables: SCRATCH_REFRESH_TOKEN with it, masked and protected.
scratch-refresh:
  image: python:3.12
  rules:
    - if: $CI_PIPELINE_SOURCE == "schedule"
  # One at a time, and never in another job's way.
  resource_group: scratch-refresh
  interruptible: false
  timeout: 30 minutes
  variables:
    GIT_DEPTH: "1"
  script:
    - python -m pip install scratchtasks
    # 0: nothing new; 10: scratch.lock was rewritten; 20: something would disappear (read the job's
    # artifact, then run `doit refresh --accept` yourself); all others are errors.
    - |
      code=0
      doit refresh --markdown > body.md || code=$?
      cat body.md
      if [ "$code" -eq 0 ]; then exit 0; fi
      if [ "$code" -ne 10 ]; then exit "$code"; fi
      git config user.name "scratch-refresh"
      git config user.email "scratch-refresh@noreply.$CI_SERVER_HOST"
      git switch --force-create {branch}
      git add scratch.lock
      git commit --message "Refresh scratch.lock"
      # The token goes through git's credential helper: it is in no URL, no argument and no log.
      git config credential.helper \\
          '!f() {{ echo username=oauth2; echo "password=$SCRATCH_REFRESH_TOKEN"; }}; f'
      git push --force \\
          --push-option=merge_request.create \\
          --push-option=merge_request.target="$CI_DEFAULT_BRANCH" \\
          --push-option=merge_request.title="Refresh scratch.lock" \\
          --push-option=merge_request.remove_source_branch \\
          "$CI_PROJECT_URL.git" {branch}
  artifacts:
    when: always
    paths: [body.md]
    expire_in: 30 days
"""


def gitlab(place: Place) -> str:
    """The job for *place*."""
    return _TEXT.format(minute=place.minute, branch=place.branch)
