-- Health of an EENNModel, for Argo CD. The guide is docs/guide/install.md.
if obj.status == nil or obj.status.observedGeneration ~= obj.metadata.generation then
  return { status = "Progressing", message = "the operator has not looked at this version yet" }
end
local conditions = {}
for _, condition in ipairs(obj.status.conditions or {}) do
  if condition.observedGeneration == nil or condition.observedGeneration == obj.metadata.generation then
    conditions[condition.type] = condition
  end
end
local accepted, ready = conditions.Accepted, conditions.Ready
if accepted ~= nil and accepted.status == "False" then
  return { status = "Degraded", message = accepted.message }
end
if ready ~= nil and ready.status == "True" then
  return { status = "Healthy", message = ready.message }
end
return { status = "Progressing", message = ready and ready.message or "there is no condition Ready yet" }
