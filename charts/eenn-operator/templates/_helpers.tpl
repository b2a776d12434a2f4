{{/* Name of everything that has a namespace. */}}
{{- define "eenn-operator.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 63 | trimSuffix "-" -}}
{{- else if contains .Chart.Name .Release.Name -}}
{{- .Release.Name | trunc 63 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name .Chart.Name | trunc 63 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{/* Name of what has none: releases of the same name in two namespaces stay apart. */}}
{{- define "eenn-operator.clusterName" -}}
{{- printf "%s:%s" (include "eenn-operator.fullname" .) .Release.Namespace -}}
{{- end -}}

{{- define "eenn-operator.selector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "eenn-operator.labels" -}}
{{ include "eenn-operator.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
app.kubernetes.io/part-of: eenn-operator
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* An image with its registry, by digest where there is one. Takes a list: everything, the image. */}}
{{- define "eenn-operator.image" -}}
{{- $ := index . 0 -}}
{{- $image := index . 1 -}}
{{- $name := printf "%s/%s" (trimSuffix "/" $.Values.registry) $image.repository -}}
{{- if $image.digest -}}
{{- printf "%s@%s" $name $image.digest -}}
{{- else -}}
{{- printf "%s:%s" $name (default $.Chart.AppVersion $image.tag) -}}
{{- end -}}
{{- end -}}

{{/* The namespace that is served with `scope: Namespace`. */}}
{{- define "eenn-operator.served" -}}
{{- default .Release.Namespace .Values.namespace -}}
{{- end -}}

{{/* What no schema can say. */}}
{{- define "eenn-operator.check" -}}
{{- if and .Values.namespace (eq .Values.scope "Cluster") -}}
{{- fail (printf "namespace is %q, but scope is Cluster, which serves all of them: set scope to Namespace, or leave namespace out" .Values.namespace) -}}
{{- end -}}
{{- if and (not .Values.leaderElection.enabled) (gt (int .Values.replicas) 1) -}}
{{- fail (printf "replicas is %d, but leaderElection.enabled is false: all of them would write; set replicas to 1, or leave leader election on" (int .Values.replicas)) -}}
{{- end -}}
{{- if ge (mul 3 (int .Values.leaderElection.retrySeconds)) (mul 2 (int .Values.leaderElection.leaseSeconds)) -}}
{{- fail (printf "leaderElection.retrySeconds is %d, but must be less than two thirds of leaseSeconds (%d)" (int .Values.leaderElection.retrySeconds) (int .Values.leaderElection.leaseSeconds)) -}}
{{- end -}}
{{- $own := list "app.kubernetes.io/version" "app.kubernetes.io/managed-by" "app.kubernetes.io/part-of" "helm.sh/chart" -}}
{{- $own = concat $own (keys (fromYaml (include "eenn-operator.selector" .))) -}}
{{- range $label := keys .Values.commonLabels -}}
{{- if has $label $own -}}
{{- fail (printf "commonLabels has %q, which this chart sets itself: leave it out" $label) -}}
{{- end -}}
{{- end -}}
{{- range $label := keys .Values.podLabels -}}
{{- if or (has $label $own) (hasKey $.Values.commonLabels $label) -}}
{{- fail (printf "podLabels has %q, which this chart or commonLabels sets already: leave it out" $label) -}}
{{- end -}}
{{- end -}}
{{- end -}}
