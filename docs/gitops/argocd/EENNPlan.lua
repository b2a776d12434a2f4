-- Health of an EENNPlan, for Argo CD. The guide is docs/guide/install.md. Plans are the operator's: they are shown below their EENNService.
if obj.status == nil or obj.status.observedGeneration ~= obj.metadata.generation then
  return { status = "Progressing", message = "the operator has not said yet whether gateways follow this plan" }
end
for _, condition in ipairs(obj.status.conditions or {}) do
  if condition.type == "InForce" and condition.status == "True" then
    return { status = "Healthy", message = condition.message }
  end
  -- It waits for approval, or another one has taken its place: nothing is wrong with it.
  if condition.type == "InForce" and condition.status == "False" then
    return { status = "Suspended", message = condition.message }
  end
end
return { status = "Progressing", message = "there is no condition InForce yet" }
