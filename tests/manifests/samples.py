"""Manifests as people write them, and what their references resolve to."""

API = "registry.example.com/team/api@sha256:" + "a1" * 32
WEB = "registry.example.com/team/web@sha256:" + "07" * 32
IMAGES = {"api": API, "web": WEB}
LOCAL = {"api": "sha256:" + "b2" * 32, "web": "sha256:" + "c3" * 32}

DEPLOYMENT = """\
# Rolled out by `doit resolve`; image: scratch://api is filled in there.
apiVersion: apps/v1
kind: Deployment
metadata:
  name: api
  annotations: {note: "built as scratch://api", 'from': 'scratch://web'}
spec:
  template:
    spec:
      initContainers:
      - name: migrate
        image: 'scratch://api'   # scratch://api
        args: [ "migrate", "--image=scratch://api", scratch://web, ]
      containers:
        - image: scratch://api
          name:   api
          env:
            - {name: SELF, value: "scratch://api"}
            - name: SCRIPT
              value: |
                image: scratch://api
                - scratch://web
        -   image:    &sidecar   scratch://web
            command:
            - scratch://web
            - >-
              scratch://web
        - image: *sidecar
"""

STATEFUL_SET_AND_CRON_JOB = """\
---
apiVersion: apps/v1
kind: StatefulSet
spec: {template: {spec: {containers: [{name: db, image: scratch://api}, {image: "scratch://web"}]}}}
...
--- # nightly
apiVersion: batch/v1
kind: CronJob
spec:
  schedule: "@daily"
  jobTemplate:
    spec:
      template:
        spec:
          containers:
            - name: report
              image: !!str
                scratch://web
              image: "scratch://api"
"""

COMPOSE = """\
x-base: &base
  restart: unless-stopped
  image: scratch://api
services:
  api:
    <<: *base
    environment:
      SELF: scratch://api
  web: {<<: *base, image: scratch://web, ports: ["8080:80"]}
"""

HELM_TEMPLATE = """\
{{- if .Values.enabled -}}
{{- /* image: scratch://nothing
       "unbalanced */}}
apiVersion: apps/v1
kind: Deployment
metadata:
  name: {{ include "chart.name" . }}: x
  labels:
    {{- include "chart.labels" . | nindent 4 }}   # shared
spec:
  containers:
{{ toYaml .Values.extra | indent 4 }}
    - name: {{ .Chart.Name | quote }}
      image: scratch://api
      tag: "{{ default "a" .Values.tag }}"
      {{ with .Values.pull }}
      imagePullPolicy: {{ . }}{{ end }}
    - {image: "scratch://web", args: [{{ .Values.args }}]}
{{- end }}
"""

NOT_YAML = """\
\tkind: odd
  - image: scratch://api # and
    args: ["scratch://web", 'scratch://api' ]
 text: |
   image: scratch://api

     image: scratch://web
 more: "scratch://web"
- >
  scratch://web
- list:   scratch://api
- - list: |-
     scratch://api
    image: scratch://web
#  image: scratch://api
"""

JSON = """\
{
\t"kind": "List", "emoji": "\\ud83d\\ude00", "slash\\\\ud83d": "",
\t"items": [{"image": "scratch://api"}, "scratch:\\/\\/web", "see scratch://web"],
\t"scratch://api": {"image" : "scratch://web"}
}
"""

ALL = {
    "deployment": DEPLOYMENT,
    "stateful set and cron job": STATEFUL_SET_AND_CRON_JOB,
    "compose": COMPOSE,
    "helm template": HELM_TEMPLATE,
    "not yaml": NOT_YAML,
    "json": JSON,
}
