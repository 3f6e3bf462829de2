# Logs in as Ruby's libraries do it, once for each argument HOW=ISSUER. What went wrong ends with a form feed.
require "logger"
require "net/http"
require "omniauth"
require "omniauth/openid_connect"
require "openid_connect"
require "rack/builder"
require "rack/mock"
require "rack/session/cookie"

$stdout.sync = true
OmniAuth.config.logger = Logger.new($stdout)
OmniAuth.config.request_validation_phase = nil
OmniAuth.config.allowed_request_methods = [:get]
OmniAuth.config.silence_get_warning = true
$patience = 60 # seconds
SITE = "http://acme.localhost:3000"

[OpenIDConnect, SWD, Rack::OAuth2].each do |library|
  library.http_config do |http|
    http.ssl_config.add_trust_ca(ENV["SSL_CERT_FILE"])
    http.connect_timeout = http.receive_timeout = $patience
  end
end

def site(issuer)
  Rack::Builder.app do
    use Rack::Session::Cookie, secret: "a site's own secret, which has to have thirty-two octets or more"
    use OmniAuth::Builder do
      provider :openid_connect, name: :provider, issuer: issuer, discovery: true, client_signing_alg: :RS256, scope: [:openid],
        client_options: { identifier: "atlas-web", secret: "secret", redirect_uri: "#{SITE}/auth/provider/callback" }
    end
    run ->(env) { [200, {}, [env["omniauth.auth"].inspect]] }
  end
end

def omniauth(issuer, remembers: true, told: true)
  # The library makes https of every issuer, unless it is told so.
  SWD.url_builder = told && issuer.start_with?("http:") ? URI::HTTP : URI::HTTPS
  browser = Rack::MockRequest.new(site(issuer))
  began = browser.get("/auth/provider", "HTTP_HOST" => "acme.localhost:3000")
  return puts(began.status, began.location) unless began.location&.include?("/authorize?")
  at = URI(began.location)
  came = Net::HTTP.start(at.host, at.port, use_ssl: at.scheme == "https", ca_file: ENV["SSL_CERT_FILE"]) { |http| http.get(at.request_uri) }["location"]
  cookie = remembers ? Array(began.headers["Set-Cookie"]).flat_map { |c| c.split("\n") }.map { |c| c.split(";").first }.join("; ") : ""
  ended = browser.get(URI(came).request_uri, "HTTP_HOST" => "acme.localhost:3000", "HTTP_COOKIE" => cookie)
  puts ended.status, ended.location, ended.body
end

def net_http(at)
  uri = URI(at)
  Net::HTTP.start(uri.host, uri.port, use_ssl: uri.scheme == "https", open_timeout: $patience, read_timeout: $patience, max_retries: 0) do |http|
    http.get(uri.request_uri)
  end
end

def hastily
  $patience = 1
  yield
ensure
  $patience = 60
end

WAYS = {
  "omniauth" => ->(issuer) { omniauth(issuer) },
  "hasty-omniauth" => ->(issuer) { hastily { omniauth(issuer) } },
  "forgetful-omniauth" => ->(issuer) { omniauth(issuer, remembers: false) },
  "untold-omniauth" => ->(issuer) { omniauth(issuer, told: false) },
  "net-http" => ->(at) { net_http(at) },
  "hasty-net-http" => ->(at) { hastily { net_http(at) } },
}

ARGV.each do |arg|
  how, issuer = arg.split("=", 2)
  begin
    WAYS[how].call(issuer)
  rescue StandardError => e
    puts e.full_message(highlight: false)
  end
  puts "\f"
end
