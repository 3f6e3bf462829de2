// The relay as its first users run it at the edge (CloudFront Functions, viewer
// request, /tenants/*/callback*), written anew from its description.
function handler(event) {
  var request = event.request;
  var match = request.uri.match(/^\/tenants\/([a-z0-9-]+)\/callback/);
  var host = request.headers.host.value.replace(/^auth/, match[1]);
  var query = Object.keys(request.querystring)
    .map(function (name) { return name + "=" + request.querystring[name].value; })
    .join("&");
  return {
    statusCode: 302,
    statusDescription: "Found",
    headers: { location: { value: "https://" + host + "/api/auth/callback?" + query } },
  };
}
