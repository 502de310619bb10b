-- SPDX-License-Identifier: Apache-2.0
-- Load for works.py: wrk ... -s bench.lua URL -- WORK BASE VERIFY COUNT
--   WORK    one of `works` below
--   BASE    number of the first new instance (register), of the first one to go (deregister)
--   VERIFY  1: looks into every answer; slower, so it is a round of its own
--   COUNT   of requests at most, 0: what the time allows
--
-- Requests are those of the Java client 1.4.8. The last line printed is for bench.py.

local SERVICES, PER_SERVICE = 100, 10
local NS = "/nacos/v1/ns/instance"
local FORM = "application/x-www-form-urlencoded;charset=UTF-8"

local headers = {
	["User-Agent"] = "Nacos-Java-Client:v1.4.8",
	["Client-Version"] = "1.4.8",
	["Accept-Encoding"] = "gzip,deflate,sdch",
	["Connection"] = "Keep-Alive",
	["RequestId"] = "0f8fad5b-d9cb-469f-a165-70867728950e",
	["Request-Module"] = "Naming",
	["Content-Type"] = FORM,
}

-- Each request on a connection of its own.
local headers_new = {}
for name, value in pairs(headers) do
	headers_new[name] = value
end
headers_new["Connection"] = "close"

local threads = {}

function setup(thread)
	table.insert(threads, thread)
end

-- The instances bench.py registered: bench-SERVICE, 10.1.SERVICE.NUMBER:8080.
local function each_instance(make)
	local requests = {}
	for number = 1, PER_SERVICE do
		for service = 0, SERVICES - 1 do
			table.insert(requests, make("DEFAULT_GROUP%40%40bench-" .. service, "10.1." .. service .. "." .. number))
		end
	end
	return requests
end

local function light(service, ip, with)
	return wrk.format("PUT", NS .. "/beat?namespaceId=public&serviceName=" .. service ..
		"&clusterName=DEFAULT&ip=" .. ip .. "&port=8080", with or headers, "")
end

local function light_new(service, ip)
	return light(service, ip, headers_new)
end

local function full(service, ip)
	local beat = '{"cluster":"DEFAULT","ip":"' .. ip .. '","metadata":{"preserved.heart.beat.timeout":"600000",' ..
		'"preserved.ip.delete.timeout":"900000"},"period":5000,"port":8080,"scheduled":false,"serviceName":"' ..
		service:gsub("%%40", "@") .. '","stopped":false,"weight":1.0}'
	local escaped = beat:gsub("[^%w.-]", function(c) return string.format("%%%02X", c:byte()) end)
	return wrk.format("PUT", NS .. "/beat?namespaceId=public&serviceName=" .. service, headers, "beat=" .. escaped)
end

local function list(service)
	return wrk.format("GET", NS .. "/list?namespaceId=public&serviceName=DEFAULT_GROUP%40%40" .. service ..
		"&clusters=&udpPort=0&clientIP=127.0.0.1&healthyOnly=false", headers)
end

local function cycle(requests)
	local at = 0
	return function()
		at = at % #requests + 1
		return requests[at]
	end
end

-- Each request the next of the new instances, spread over 1,000 services.
local function numbered(base, make)
	local number = base - 1
	return function()
		number = number + 1
		return make("DEFAULT_GROUP%40%40new-" .. number % 1000, string.format("%d.%d.%d.%d",
			11 + math.floor(number / 16777216) % 200, math.floor(number / 65536) % 256, math.floor(number / 256) % 256,
			number % 256))
	end
end

local function register(service, ip)
	return wrk.format("POST", NS .. "?namespaceId=public&serviceName=" .. service ..
		"&groupName=DEFAULT_GROUP&clusterName=DEFAULT&ip=" .. ip .. "&port=8080&weight=1.0&enable=true&healthy=true" ..
		"&ephemeral=true&metadata=%7B%22preserved.heart.beat.timeout%22%3A%22600000%22%2C" ..
		"%22preserved.ip.delete.timeout%22%3A%22900000%22%7D", headers, "")
end

local function deregister(service, ip)
	return wrk.format("DELETE", NS .. "?namespaceId=public&serviceName=" .. service .. "&clusterName=DEFAULT&ip=" .. ip ..
		"&port=8080&ephemeral=true", headers)
end

local function small_lists()
	local requests = {}
	for service = 0, SERVICES - 1 do
		table.insert(requests, list("bench-" .. service))
	end
	return requests
end

-- 75 beats, 24 lists of 10 and one registration in each hundred.
local function mix(base)
	local beat, small, new, at = cycle(each_instance(light)), cycle(small_lists()), numbered(base, register), 0
	return function()
		at = at % 100 + 1
		if at == 100 then
			return new()
		end
		return at % 4 == 0 and small() or beat()
	end
end

-- One instance of bench-large is lost and comes back. With lists: one after each of the two flips.
local function flips(with_lists)
	local service, ip = "DEFAULT_GROUP%40%40bench-large", "10.2.0.1"
	local lost = wrk.format("PUT", "/nacos/v1/ns/health?serviceName=" .. service .. "&ip=" .. ip ..
		"&port=8080&healthy=false", headers, "")
	local back, whole = light(service, ip), list("bench-large")
	return cycle(with_lists and { lost, whole, back, whole } or { lost, back })
end

-- The count is reached: the rest of the time passes without load.
local function at_most(count, next_request)
	local left = count
	return function()
		left = left - 1
		if left == 0 then
			wrk.thread:stop()
		end
		return next_request()
	end
end

local works = {
	light = { expect = '"code":10200', make = function() return cycle(each_instance(light)) end },
	full = { expect = '"code":10200', make = function() return cycle(each_instance(full)) end },
	["light-new"] = { expect = '"code":10200', make = function() return cycle(each_instance(light_new)) end },
	list10 = { expect = '"hosts":[{"ip":"10.1.', make = function() return cycle(small_lists()) end },
	list100 = { expect = '"hosts":[{"ip":"10.3.', make = function() return cycle({ list("bench-hundred") }) end },
	list1000 = { expect = '"hosts":[{"ip":"10.2.', make = function() return cycle({ list("bench-large") }) end },
	register = { expect = "ok", make = function(base) return numbered(base, register) end },
	mix = { expect = "", make = mix },
	flip = { expect = "", make = function() return flips(false) end },
	["flip-list"] = { expect = "", make = function() return flips(true) end },
	deregister = { expect = "ok", make = function(base) return numbered(base, deregister) end },
}

bad = 0

function init(args)
	local work = works[args[1]]
	request = work.make(tonumber(args[2]))
	if tonumber(args[4]) > 0 then
		request = at_most(tonumber(args[4]), request)
	end
	if args[3] == "1" then
		response = function(status, _, body)
			if status ~= 200 or not body:find(work.expect, 1, true) then
				bad = bad + 1
			end
		end
	end
end

function done(summary)
	local errors, wrong = summary.errors, 0
	for _, thread in ipairs(threads) do
		wrong = wrong + thread:get("bad")
	end
	io.write(string.format("\nRESULT requests=%d bytes=%d errors=%d wrong=%d\n", summary.requests, summary.bytes,
		errors.connect + errors.read + errors.write + errors.timeout + errors.status, wrong))
end
