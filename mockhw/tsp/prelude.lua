-- Makes the room in which scripts run. What is not handed in here, no script can reach: no python, io, package,
-- debug, coroutine, metatables, environments, files or compiled chunks.
local host, most_instructions, most_seconds, most_text = ...
local sethook, cpu = debug.sethook, os.clock
local create, resume, yield, status = coroutine.create, coroutine.resume, coroutine.yield, coroutine.status
local type, tostring, error, select, unpack, next = type, tostring, error, select, unpack, next
local setmetatable, setfenv, loadstring, rawset, pairs = setmetatable, setfenv, loadstring, rawset, pairs
local byte, sub, rep, find, match, gmatch, gsub = string.byte, string.sub, string.rep, string.find, string.match,
    string.gmatch, string.gsub
local format, concat, ipairs = string.format, table.concat, ipairs

local name_of = setmetatable({}, { __mode = "k" })

-- The host never looks into Lua while a script runs: names and numbers cross, as text where they are many.
local built

local function settle(kind, ...)
    if kind == "made" then return built(...) end
    if kind == "wait" then
        yield()
        return settle(host("resume"))
    end
    if kind == "error" then error("", 0) end
    return ...
end

local function shown(value)
    if name_of[value or 0] then return "\1" .. name_of[value] end
    local kind = type(value)
    if kind == "table" then
        local parts = {}
        for at = 1, #value do
            local one = value[at]
            parts[at] = type(one) == "number" and format("%.17g", one) or tostring(one)
        end
        return "\2" .. concat(parts, "\2")
    end
    if kind == "function" or kind == "thread" or kind == "userdata" then return tostring(value) end
    return value
end

local function told(...)
    local count, values = select("#", ...), {}
    for at = 1, count do values[at] = shown((select(at, ...))) end
    return unpack(values, 1, count)
end

local function call(path)
    return function(...) return settle(host("call", path, told(...))) end
end

local function node(path, children, known, items)
    local proxy = {}
    name_of[proxy] = path
    return setmetatable(proxy, {
        __index = function(_, key)
            local child = children[key]
            if child ~= nil then return child end
            if known[key] then return settle(host("get", path .. "." .. key)) end
            if items and type(key) == "number" then return settle(host("item", path, key)) end
            return nil
        end,
        __newindex = function(_, key, value) return settle(host("put", path .. "." .. tostring(key), shown(value))) end,
        __metatable = "locked",
    })
end

-- A part that is made while a script runs: its functions, its attributes, its columns that are read by number.
local function template(functions, known, columns)
    built = function(path)
        local children = {}
        for name in pairs(functions) do children[name] = call(path .. "." .. name) end
        for name in pairs(columns) do children[name] = node(path .. "." .. name, {}, {}, true) end
        return node(path, children, known, true)
    end
end

-- Patterns are matched in C, where no instruction is counted: what backtracking could cost is bounded beforehand.
local function cheap(text, pattern)
    if type(text) ~= "string" and type(text) ~= "number" then error("a string is expected", 0) end
    if type(pattern) ~= "string" and type(pattern) ~= "number" then error("a pattern is expected", 0) end
    local _, open = gsub(tostring(pattern), "[%*%+%-%?]", "")
    local size, cost = #tostring(text) + 1, 1
    for _ = 0, open do
        cost = cost * size
        if cost > 1e8 then error("this pattern could take too long on this text", 0) end
    end
end

local safe_string = {
    byte = byte, char = string.char, format = format, len = string.len, lower = string.lower, sub = sub,
    upper = string.upper, reverse = string.reverse,
    find = function(text, pattern, from, plain)
        if not plain then cheap(text, pattern) end
        return find(text, pattern, from, plain)
    end,
    match = function(text, pattern, from) cheap(text, pattern) return match(text, pattern, from) end,
    gmatch = function(text, pattern) cheap(text, pattern) return gmatch(text, pattern) end,
    gfind = function(text, pattern) cheap(text, pattern) return gmatch(text, pattern) end,
    gsub = function(text, pattern, with, most) cheap(text, pattern) return gsub(text, pattern, with, most) end,
    rep = function(text, count)
        if type(text) ~= "string" or type(count) ~= "number" then error("string.rep: text and a number", 0) end
        if #text * count > most_text then error("string.rep: the text is too long", 0) end
        return rep(text, count)
    end,
}
getmetatable("").__index = safe_string
getmetatable("").__metatable = "locked"

local safe_math = {}
for name, value in pairs(math) do
    if name ~= "random" and name ~= "randomseed" then safe_math[name] = value end
end
safe_math.mod = math.fmod
safe_math.random, safe_math.randomseed = call("math.random"), call("math.randomseed")

local reserved = {
    _VERSION = "Lua 5.0.2", assert = assert, error = error, ipairs = ipairs, next = next, pairs = pairs,
    rawequal = rawequal, tonumber = tonumber, tostring = tostring, type = type, unpack = unpack, gcinfo = gcinfo,
    string = safe_string, math = safe_math,
    table = {
        concat = table.concat, insert = table.insert, remove = table.remove, sort = table.sort, getn = table.getn,
        maxn = table.maxn, foreach = table.foreach, foreachi = table.foreachi,
    },
    collectgarbage = function() return 0 end,
}
local env = setmetatable({}, {
    __index = reserved,
    __newindex = function(own, key, value)
        if reserved[key] ~= nil then error("'" .. tostring(key) .. "' cannot be changed", 0) end
        rawset(own, key, value)
    end,
    __metatable = "locked",
})
reserved._G = env

local function compile(text)
    if byte(text, 1) == 27 then return nil, "tsp:1: compiled chunks are not taken" end
    local made, why = loadstring(text, "=tsp")
    if made then setfenv(made, env) end
    return made, why
end
reserved.loadstring = function(text)
    if type(text) ~= "string" then error("loadstring: text is expected", 0) end
    return compile(text)
end

local thread  -- what runs: an instrument has one script at a time
local spent, since, used = 0, 0, 0
local function watch()
    spent = spent + 1000
    if spent > most_instructions then error("the simulator runs no more instructions of one script", 0) end
    if used + cpu() - since > most_seconds then error("the simulator gives a script no more time", 0) end
end

return {
    node = node, call = call, template = template, compile = compile,
    reserve = function(name, value) reserved[name] = value end,
    define = function(name, value) rawset(env, name, value) end,
    start = function(made)
        thread = create(made)
        sethook(thread, watch, "", 1000)
        spent, used = 0, 0
    end,
    resume = function()
        since = cpu()
        local fine, why = resume(thread)
        used = used + cpu() - since
        if not fine then return "failed", tostring(why) end
        return status(thread) == "dead" and "done" or "waiting", ""
    end,
}
