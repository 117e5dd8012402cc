-- Sends the requests of a file in turn: wrk … -s requests.lua URL -- FILE METHOD AUTHORIZATION
-- A line of the file is a path, a tab, and the body (none for GET). Prints the result as JSON in the last line.

local requests, sent = {}, 0

function init(arguments)
  local headers = {["Authorization"] = arguments[3], ["Content-Type"] = "application/json"}
  for line in io.lines(arguments[1]) do
    local path, body = line:match("^(%S+)\t(.*)$")
    if body == "" then body = nil end
    requests[#requests + 1] = wrk.format(arguments[2], path, headers, body)
  end
end

function request()
  sent = sent + 1
  return requests[sent % #requests + 1]
end

function done(summary, latency)
  local errors = summary.errors
  io.write(string.format(
    '\n{"requests": %d, "microseconds": %d, "p50": %f, "p99": %f, "refused": %d, "broken": %d}\n',
    summary.requests, summary.duration, latency:percentile(50), latency:percentile(99),
    errors.status, errors.connect + errors.read + errors.write + errors.timeout
  ))
end
