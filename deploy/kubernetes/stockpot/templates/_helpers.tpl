{{- define "stockpot.name" -}}
{{- ternary .Release.Name (printf "%s-stockpot" .Release.Name) (contains "stockpot" .Release.Name) | trunc 50 | trimSuffix "-" -}}
{{- end }}

{{- define "stockpot.selector" -}}
app.kubernetes.io/name: stockpot
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "stockpot.labels" -}}
{{ include "stockpot.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end }}

{{/* Of (dict "root" $ "gpus" N): the image whose libraries that takes. */}}
{{- define "stockpot.imageFor" -}}
{{- $values := .root.Values -}}
{{- $repository := required "image.repository is needed: push what `docker build --target cpu|gpu .` made, and name where" $values.image.repository -}}
{{- if $values.image.digest -}}
{{ printf "%s@%s" $repository $values.image.digest }}
{{- else -}}
{{ printf "%s:%s" $repository ($values.image.tag | default (ternary "gpu" "cpu" (gt (int .gpus) 0))) }}
{{- end }}
{{- end }}

{{- define "stockpot.image" -}}
{{ include "stockpot.imageFor" (dict "root" . "gpus" .Values.gpus) }}
{{- end }}

{{/* Of remote workers' pods, which are not the server's: its Service must not find them. */}}
{{- define "stockpot.workerSelector" -}}
app.kubernetes.io/name: stockpot-worker
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "stockpot.workerLabels" -}}
{{ include "stockpot.workerSelector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end }}

{{- define "stockpot.workerServiceAccount" -}}
{{- with .Values.remoteWorkers.serviceAccount -}}
{{- if .create }}{{ .name | default (printf "%s-worker" (include "stockpot.name" $)) }}{{ else }}{{ .name | default "default" }}{{ end }}
{{- end }}
{{- end }}

{{/* The claim of artifacts/ and cache/, where there are remote workers. */}}
{{- define "stockpot.sharedClaim" -}}
{{- with .Values.remoteWorkers.sharedVolume -}}
{{- if .existingClaim -}}
{{- $found := lookup "v1" "PersistentVolumeClaim" $.Release.Namespace .existingClaim -}}
{{- if and $found (not (has "ReadWriteMany" $found.spec.accessModes)) -}}
{{- fail (printf "remoteWorkers.sharedVolume.existingClaim: %s is %v, but pods on several nodes write there: it must be ReadWriteMany" .existingClaim $found.spec.accessModes) -}}
{{- end -}}
{{ .existingClaim }}
{{- else -}}
{{- if ne .accessMode "ReadWriteMany" -}}
{{- fail (printf "remoteWorkers.sharedVolume.accessMode: %s, but pods on several nodes write there: it must be ReadWriteMany" .accessMode) -}}
{{- end -}}
{{ include "stockpot.name" $ }}-shared
{{- end -}}
{{- end }}
{{- end }}

{{/* Where all pods have what they share. */}}
{{- define "stockpot.sharedMounts" -}}
- {name: shared, mountPath: /var/lib/stockpot/data/artifacts, subPath: artifacts}
- {name: shared, mountPath: /var/lib/stockpot/data/cache, subPath: cache}
{{- end }}

{{- define "stockpot.serviceAccount" -}}
{{- if .Values.serviceAccount.create }}{{ .Values.serviceAccount.name | default (include "stockpot.name" .) }}{{ else }}{{ .Values.serviceAccount.name | default "default" }}{{ end }}
{{- end }}

{{/* What every container here may do: nothing but run. */}}
{{- define "stockpot.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end }}

{{/* The image's user; files of volumes belong to its group. */}}
{{- define "stockpot.podSecurity" -}}
runAsNonRoot: true
runAsUser: 10001
runAsGroup: 10001
fsGroup: 10001
fsGroupChangePolicy: OnRootMismatch
seccompProfile: {type: RuntimeDefault}
{{- end }}

{{- define "stockpot.workers" -}}
{{- if kindIs "invalid" .Values.workers }}{{ max (ternary 0 1 .Values.remoteWorkers.enabled) (int .Values.gpus) }}{{ else }}{{ int .Values.workers }}{{ end }}
{{- end }}

{{/* Not empty: stockpotd has a certificate. */}}
{{- define "stockpot.hasTls" -}}
{{- if or .Values.tls.secretName .Values.tls.certManager.enabled }}yes{{ end }}
{{- end }}

{{- define "stockpot.tlsSecret" -}}
{{ .Values.tls.secretName | default (printf "%s-tls" (include "stockpot.name" .)) }}
{{- end }}

{{/* Not empty: who shows neither a token nor a certificate is refused. */}}
{{- define "stockpot.asksWho" -}}
{{- if or .Values.access.secretName (and .Values.tls.clientCa.secretName (not .Values.tls.clientCa.optional)) }}yes{{ end }}
{{- end }}

{{/* As YAML: the flags of stockpotd that name a file out of a Secret, each with secretName and key. */}}
{{- define "stockpot.secretFiles" -}}
{{- $files := deepCopy .Values.secretFiles -}}
{{- if include "stockpot.hasTls" . -}}
{{- $_ := set $files "tls_certificate_file" (dict "secretName" (include "stockpot.tlsSecret" .) "key" "tls.crt") -}}
{{- $_ := set $files "tls_key_file" (dict "secretName" (include "stockpot.tlsSecret" .) "key" "tls.key") -}}
{{- end -}}
{{- with .Values.tls.clientCa -}}
{{- if .secretName }}{{ $_ := set $files "tls_client_ca_file" (dict "secretName" .secretName "key" .key) }}{{ end -}}
{{- end -}}
{{- with .Values.access -}}
{{- if .secretName }}{{ $_ := set $files "access_file" (dict "secretName" .secretName "key" .key) }}{{ end -}}
{{- end -}}
{{ toYaml $files }}
{{- end }}

{{/* stockpotd's configuration file. */}}
{{- define "stockpot.config" -}}
listen: 0.0.0.0:8433
{{- if .Values.remoteWorkers.enabled }}
worker_listen: 0.0.0.0:8435
{{- end }}
{{- if .Values.allowInsecure }}
allow_insecure_remote: true
{{- end }}
{{- if and .Values.tls.clientCa.secretName .Values.tls.clientCa.optional }}
tls_client_certificate_optional: true
{{- end }}
# kubelet's probes speak neither TLS nor tokens.
health_listen: 0.0.0.0:8434
metrics_listen: 0.0.0.0:9464
data_folder: /var/lib/stockpot/data
workers: {{ include "stockpot.workers" . }}
threads_per_worker: {{ .Values.threadsPerWorker }}
drain_delay: {{ .Values.drain.delaySeconds }}s
drain_timeout: {{ .Values.drain.timeoutSeconds }}s
{{- range $flag, $secret := include "stockpot.secretFiles" . | fromYaml }}
{{ $flag }}: /etc/stockpot/secrets/{{ $flag }}
{{- end }}
{{- range $flag, $value := .Values.config }}
{{- /* YAML reads large numbers as floats, which would be written as 5e+11. */}}
{{ $flag }}: {{ if kindIs "float64" $value }}{{ int64 $value }}{{ else }}{{ toJson $value }}{{ end }}
{{- end }}
{{- end }}
