{{- /* Made by `python -m components.cabc_auditor.chart`. */}}
{{- define "cabc-auditor.settings" -}}
{{- $documents := list -}}
{{- range $file := keys .Values.specifications | sortAlpha -}}
{{- $documents = append $documents (printf "/etc/cabc-specifications/%s" $file) -}}
{{- end -}}
{{- toJson (mergeOverwrite (fromJson `{"anchors": ["/var/lib/cabc/anchors"], "database": "file:/etc/cabc/secrets/database", "databaseConnections": 5, "published": "/var/lib/cabc/published", "retention": {}, "service": {"host": "0.0.0.0", "port": 8080, "webhooks": {"alerts": {"format": "alertmanager", "secret": "file:/etc/cabc/secrets/hook-alerts"}, "platform": {"format": "generic", "secret": "file:/etc/cabc/secrets/hook-platform"}, "registry": {"format": "mlflow", "secret": "file:/etc/cabc/secrets/hook-registry"}}}}`) (dict "documents" $documents
  "service" (dict "watchInferenceServices" .Values.models.namespaces)) .Values.settings) -}}
{{- end -}}

{{- define "cabc-auditor.connections" -}}
{{- toJson (dict "connections" (mergeOverwrite (fromJson `{"docs": {"kind": "file", "root": "/etc/cabc-documents/..data"}, "infrastructure": {"inCluster": true, "kind": "infrastructure"}}`) .Values.connections)) -}}
{{- end -}}

{{- define "cabc-auditor.publicKeyItems" -}}
{{- $items := list -}}
{{- range $file := keys .Values.publicKeys | sortAlpha -}}
{{- $items = append $items (dict "key" $file "path" (printf "keys/%s" $file)) -}}
{{- end -}}
{{- toJson $items -}}
{{- end -}}

{{- define "cabc-auditor.digest" -}}
{{- list .Values.settings .Values.connections .Values.publicKeys .Values.specifications .Values.documents
  .Values.secretsRevision | toJson | sha256sum | trunc 16 -}}
{{- end -}}
