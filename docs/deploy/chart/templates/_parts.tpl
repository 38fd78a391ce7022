{{- define "seatrial.pod" -}}
securityContext:
  runAsNonRoot: true
  runAsUser: 65532
  runAsGroup: 65532
  fsGroup: 65532
  seccompProfile: {type: RuntimeDefault}
{{- end }}
{{- define "seatrial.container" -}}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities: {drop: [ALL]}
{{- end }}
{{- define "seatrial.resources" -}}
resources:
  requests: {cpu: 100m, memory: 128Mi}
  limits: {memory: 512Mi}
{{- end }}
