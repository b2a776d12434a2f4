{{/*
What the operator does with objects that have a namespace; a Role or a ClusterRole has these rules. Verbs are those that it uses and no more:
what is applied on the server takes `create` and `patch`, and all but the exit table is read from watches.
*/}}
{{- define "eenn-operator.namespacedRules" -}}
# What users make.
- apiGroups: [eenn.dev]
  resources: [eennmodels, eennservices, qostargets]
  verbs: [list, watch]
# What it answers there.
- apiGroups: [eenn.dev]
  resources: [eennmodels/status, eennplans/status, eennservices/status, qostargets/status]
  verbs: [patch]
- apiGroups: [eenn.dev]
  resources: [eennplans]
  verbs: [create, delete, list, patch, watch]
# What services consist of. Exit tables are read from ConfigMaps by name.
- apiGroups: [""]
  resources: [configmaps]
  verbs: [create, delete, get, list, patch, watch]
- apiGroups: [""]
  resources: [services]
  verbs: [create, delete, list, patch, watch]
- apiGroups: [apps]
  resources: [deployments]
  verbs: [create, delete, list, patch, watch]
# What measures models and devices. Each has a certificate and a NetworkPolicy that Kubernetes deletes with it.
- apiGroups: [batch]
  resources: [jobs]
  verbs: [create, delete, list, watch]
- apiGroups: [policy]
  resources: [poddisruptionbudgets]
  verbs: [create, delete, list, patch, watch]
# Where gateways and fragments are.
- apiGroups: [""]
  resources: [pods]
  verbs: [list, watch]
# The certificate of each service, which its pods mount. Kubernetes has no way to allow this for names of a pattern only. None of these shows what is in a
# Secret; the operator takes over none that it has not made, which their type tells.
- apiGroups: [""]
  resources: [secrets]
  verbs: [create, update]
# Deleted with the service, by Kubernetes.
- apiGroups: [""]
  resources: [serviceaccounts]
  verbs: [create, list, patch, watch]
- apiGroups: [networking.k8s.io]
  resources: [networkpolicies]
  verbs: [create, list, patch, watch]
# What it tells people.
- apiGroups: [events.k8s.io]
  resources: [events]
  verbs: [create, patch]
{{- end -}}

{{/* What it does with objects that have none. */}}
{{- define "eenn-operator.clusterRules" -}}
- apiGroups: [""]
  resources: [nodes]
  verbs: [list, watch]
- apiGroups: [eenn.dev]
  resources: [devicepools]
  verbs: [list, watch]
- apiGroups: [eenn.dev]
  resources: [devicepools/status]
  verbs: [patch]
{{- end -}}

{{/* What it does in its own namespace, whatever it serves. */}}
{{- define "eenn-operator.ownRules" -}}
# Who certifies: the only Secret that the operator reads. No name can be given for what is created.
- apiGroups: [""]
  resources: [secrets]
  verbs: [create]
- apiGroups: [""]
  resources: [secrets]
  resourceNames: [eenn-operator-{{ .Values.operatorName }}-authorities]
  verbs: [get, update]
{{- if .Values.leaderElection.enabled }}
- apiGroups: [coordination.k8s.io]
  resources: [leases]
  verbs: [create]
- apiGroups: [coordination.k8s.io]
  resources: [leases]
  resourceNames: [eenn-operator-{{ .Values.operatorName }}]
  verbs: [get, update]
{{- end }}
{{- end -}}
