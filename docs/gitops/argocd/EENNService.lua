-- Health of an EENNService, for Argo CD. The guide is docs/guide/install.md.
local annotations = obj.metadata.annotations or {}
if annotations["eenn.dev/paused"] ~= nil and annotations["eenn.dev/paused"] ~= "false" then
  return { status = "Suspended", message = "paused by the annotation eenn.dev/paused" }
end
if obj.status == nil or obj.status.observedGeneration ~= obj.metadata.generation then
  return { status = "Progressing", message = "the operator has not looked at this version yet" }
end
local conditions = {}
for _, condition in ipairs(obj.status.conditions or {}) do
  if condition.observedGeneration == nil or condition.observedGeneration == obj.metadata.generation then
    conditions[condition.type] = condition
  end
end
local function is(aspect, status)
  return conditions[aspect] ~= nil and conditions[aspect].status == status
end
if is("Accepted", "False") then
  return { status = "Degraded", message = conditions.Accepted.message }
end
-- For a person to decide.
if is("Planned", "False") and conditions.Planned.reason == "WaitsForApproval" then
  return { status = "Suspended", message = conditions.Planned.message }
end
if is("Ready", "True") then
  local message = conditions.Ready.message
  -- It serves, as well as it can.
  if is("QoSMet", "False") then
    message = message .. "; targets: " .. conditions.QoSMet.message
  end
  return { status = "Healthy", message = message }
end
local waits = conditions.Ready and conditions.Ready.message
return { status = "Progressing", message = waits or "there is no condition Ready yet" }
