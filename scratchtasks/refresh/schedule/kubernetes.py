"""Kubernetes: a CronJob that clones, refreshes and pushes a branch."""

from .place import Place

_TEXT = """\
# `kubectl apply -f` it into a namespace of its own.  Before:
# - REPOSITORY: the repository's ssh address.
# - IMAGE: an image with git, ssh, Python 3.11 or later and scratchtasks (pip install scratchtasks)
#   in it, by digest.
# - a deploy key that may write that one repository, and the host's key:
#   kubectl create secret generic {slug}-key --from-file=id=deploy_key --from-file=known_hosts
apiVersion: v1
kind: ServiceAccount
metadata:
  name: {slug}
# It speaks to the repository and the package index, never to the cluster.
automountServiceAccountToken: false
---
apiVersion: batch/v1
kind: CronJob
metadata:
  name: {slug}
spec:
  schedule: "{minute} 3 * * *"
  timeZone: Etc/UTC
  concurrencyPolicy: Forbid
  startingDeadlineSeconds: 3600
  successfulJobsHistoryLimit: 3
  failedJobsHistoryLimit: 7
  jobTemplate:
    spec:
      backoffLimit: 0
      activeDeadlineSeconds: 1800
      template:
        spec:
          serviceAccountName: {slug}
          automountServiceAccountToken: false
          enableServiceLinks: false
          restartPolicy: Never
          securityContext:
            runAsNonRoot: true
            runAsUser: 65532
            runAsGroup: 65532
            fsGroup: 65532
            seccompProfile:
              type: RuntimeDefault
          containers:
            - name: refresh
              image: IMAGE
              workingDir: /work
              env:
                - name: REPOSITORY
                  value: REPOSITORY
                - name: HOME
                  value: /work
                - name: GIT_SSH_COMMAND
                  value: ssh -i /key/id -o IdentitiesOnly=yes -o UserKnownHostsFile=/key/known_hosts
              command: ["/bin/sh", "-euc"]
              # 0: nothing new; 10: scratch.lock was rewritten and goes to branch {branch};
              # 20: something would disappear (see the log); all others are errors.
              args:
                - |
                  git clone --depth 1 "$REPOSITORY" repository
                  cd repository
                  code=0
                  doit refresh --markdown > ../body.md || code=$?
                  cat ../body.md
                  if [ "$code" -eq 0 ]; then exit 0; fi
                  if [ "$code" -ne 10 ]; then exit "$code"; fi
                  git config user.name scratch-refresh
                  git config user.email scratch-refresh@noreply.invalid
                  git switch --force-create {branch}
                  git add scratch.lock
                  git commit --message "Refresh scratch.lock" --message "$(cat ../body.md)"
                  git push --force origin {branch}
              resources:
                requests: {{cpu: 250m, memory: 512Mi}}
                limits: {{memory: 2Gi}}
              securityContext:
                allowPrivilegeEscalation: false
                readOnlyRootFilesystem: true
                capabilities:
                  drop: [ALL]
              volumeMounts:
                - {{name: work, mountPath: /work}}
                - {{name: tmp, mountPath: /tmp}}
                - {{name: key, mountPath: /key, readOnly: true}}
          volumes:
            - name: work
              emptyDir: {{sizeLimit: 4Gi}}
            - name: tmp
              emptyDir: {{sizeLimit: 1Gi}}
            - name: key
              secret:
                secretName: {slug}-key
                defaultMode: 0440
"""


def kubernetes(place: Place) -> str:
    """The ServiceAccount and CronJob for *place*."""
    return _TEXT.format(slug=f"{place.slug}-refresh", minute=place.minute, branch=place.branch)
