%% The supervisor of gen_server_peer: whatever specification it is given.
-module(supervisor_peer).
-behaviour(supervisor).
-export([init/1]).

init(Specification) -> {ok, Specification}.
