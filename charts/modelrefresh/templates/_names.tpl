{{- define "modelrefresh.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
{{- end }}

{{- define "modelrefresh.fullname" -}}
{{- $name := include "modelrefresh.name" . }}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 52 | trimSuffix "-" }}
{{- else if contains $name .Release.Name }}
{{- .Release.Name | trunc 52 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name $name | trunc 52 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{/* Names of cluster-scoped objects carry the namespace: two releases may share a name. */}}
{{- define "modelrefresh.clusterName" -}}
{{- printf "%s-%s" .Release.Namespace (include "modelrefresh.fullname" .) | trunc 100 | trimSuffix "-" }}
{{- end }}

{{- define "modelrefresh.serviceAccount" -}}
{{- if .Values.serviceAccount.create }}
{{- default (include "modelrefresh.fullname" .) .Values.serviceAccount.name }}
{{- else }}
{{- required "serviceAccount.name is empty and serviceAccount.create is false: name the ServiceAccount that the operator runs as" .Values.serviceAccount.name }}
{{- end }}
{{- end }}

{{- define "modelrefresh.selector" -}}
app.kubernetes.io/name: {{ include "modelrefresh.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: operator
{{- end }}

{{- define "modelrefresh.labels" -}}
{{ include "modelrefresh.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/part-of: modelrefresh
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* What the operator writes into NetworkPolicies of stages, as JSON; its own pods come first. */}}
{{- define "modelrefresh.stageNetwork" -}}
{{- $operator := dict
  "namespaceSelector" (dict "matchLabels" (dict "kubernetes.io/metadata.name" .Release.Namespace))
  "podSelector" (dict "matchLabels" (include "modelrefresh.selector" . | fromYaml)) }}
{{- dict "progressFrom" (prepend .Values.stageNetworkPolicy.metricsFrom $operator) "egress" .Values.stageNetworkPolicy.egress | toJson }}
{{- end }}

{{- define "modelrefresh.image" -}}
{{- $repository := .Values.image.repository }}
{{- with .Values.image.registry }}
{{- $repository = printf "%s/%s" . $repository }}
{{- end }}
{{- if .Values.image.digest }}
{{- printf "%s@%s" $repository .Values.image.digest }}
{{- else }}
{{- printf "%s:%s" $repository (default .Chart.AppVersion .Values.image.tag) }}
{{- end }}
{{- end }}

{{/* What the operator may do with objects of a namespace; each line is used by the code, see docs/security.md. */}}
{{- define "modelrefresh.rules" -}}
- apiGroups: [modelrefresh.dev]
  resources: [modelrefreshes, instructionresiduals]
  verbs: [get, list, watch, patch]
- apiGroups: [modelrefresh.dev]
  resources: [modelversions]
  verbs: [get, list, watch, create, delete]
- apiGroups: [modelrefresh.dev]
  resources: [modelrefreshes/status, instructionresiduals/status, modelversions/status]
  verbs: [update]
# Owner references that block deletion need this where OwnerReferencesPermissionEnforcement is on.
- apiGroups: [modelrefresh.dev]
  resources: [modelrefreshes/finalizers, instructionresiduals/finalizers]
  verbs: [update]
- apiGroups: [batch]
  resources: [jobs]
  verbs: [get, list, watch, create, delete]
- apiGroups: [apps]
  resources: [deployments]
  verbs: [get, list, watch, patch]
- apiGroups: [""]
  resources: [pods]
  verbs: [list]
- apiGroups: [""]
  resources: [persistentvolumeclaims]
  verbs: [get]
# The headless Service of a training over several nodes.
- apiGroups: [""]
  resources: [services]
  verbs: [get, create]
# Its labels, where a RefreshProfile has a namespaceSelector.
- apiGroups: [""]
  resources: [namespaces]
  verbs: [get]
# Who may speak with the pods of stages.
- apiGroups: [networking.k8s.io]
  resources: [networkpolicies]
  verbs: [get, create]
- apiGroups: [""]
  resources: [events]
  verbs: [list, create, patch]
{{- end }}
