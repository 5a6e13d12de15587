// Writes a generation of a closed broker's files for the tests in Python, and prints its id:
//   broker_files FOLDER GROUP AGENTS_PORT PEOPLE_PORT MOST CERTIFICATES [NAME:ROLE:KEY ...]
// GROUP: a number, or - for none. CERTIFICATES: a folder with ca.crt, crl.pem, server.crt and server.key. The role `ha`
// is `operate` with the topics of Home Assistant.
#include <array>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <iterator>
#include <stdexcept>
#include <string>
#include <vector>

#include "coordinator/access/broker_files.hpp"
#include "coordinator/access/broker_generation.hpp"

using namespace edgefleet;
using namespace edgefleet::coordinator;

namespace {

template <typename T>
T good(Result<T> result) {
  if (!result) throw std::runtime_error(result.error().message);
  return std::move(*result);
}

std::string content_of(const std::string& path) {
  std::ifstream file(path);
  if (!file) throw std::runtime_error(path + " cannot be read");
  return {std::istreambuf_iterator<char>(file), {}};
}

Person person_of(const std::string& text) {
  const auto first = text.find(':');
  const auto key = text.find(':', first + 1);
  const std::string named = text.substr(first + 1, key - first - 1);
  const auto name = ClientName::parse(text.substr(0, first));
  if (!name || key == std::string::npos) throw std::runtime_error("not NAME:ROLE:KEY: " + text);
  const auto role = parse_role(named == "ha" ? "operate" : named);
  if (!role) throw std::runtime_error("no role: " + text);
  const PasswordSalt salt{'s', 'a', 'l', 't'};
  return {*name, *role, good(password_hash(text.substr(key + 1), salt)), named == "ha"};
}

std::string write(const std::vector<std::string>& arguments) {
  const FleetName home = *FleetName::parse("home");
  BrokerFolder folder{arguments.at(0), {}};
  if (arguments.at(1) != "-") folder.group = static_cast<gid_t>(std::stoul(arguments.at(1)));
  const int most = std::stoi(arguments.at(4));
  const std::string& certificates = arguments.at(5);
  std::vector<Person> people;
  for (std::size_t i = 6; i < arguments.size(); ++i) people.push_back(person_of(arguments[i]));
  return good(
      write_generation(folder, {good(broker_configuration({{"127.0.0.1", std::stoi(arguments.at(2)), most},
                                                           {"127.0.0.1", std::stoi(arguments.at(3)), most}})),
                                agents_acl(home), good(people_acl(home, people)), good(password_file(people)),
                                content_of(certificates + "/ca.crt"), content_of(certificates + "/crl.pem"),
                                content_of(certificates + "/server.crt"), content_of(certificates + "/server.key")}));
}

}  // namespace

int main(int count, char** values) {
  try {
    std::cout << write(std::vector<std::string>(values + 1, values + count)) << '\n';
    return EXIT_SUCCESS;
  } catch (const std::exception& failure) {
    std::cerr << "broker_files: " << failure.what() << '\n';
    return EXIT_FAILURE;
  }
}
